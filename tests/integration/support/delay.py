# SPDX-License-Identifier: Apache-2.0
"""A long or bad path between two network namespaces: bench/delay.c, for kernels without netem."""

import os

from support import adit
from support.waiting import wait_until

LEFT_IP, RIGHT_IP = "10.117.0.1", "10.117.0.2"


class Delay:
    """Between the namespaces @left and @right (paths). @both, @to_left and @to_right are dicts of
    limits: delay (ms, one way), rate (Mbit/s), queue (bytes), loss and reorder (0..1), extra (ms)."""

    def __init__(self, case, left, right, seed=1, mtu=1500, both=None, to_left=None, to_right=None,
                 name="delay"):
        argv = [os.path.join(os.path.dirname(os.path.dirname(adit.binary("adit"))), "bench", "delay"),
                "--seed", seed, "--mtu", mtu]
        for option, limits in (("--both", both), ("--left", to_left), ("--right", to_right)):
            if limits:
                argv += [option, ",".join(f"{key}={value}" for key, value in limits.items())]
        self.process = case.start(name, [*argv, left, LEFT_IP, right, RIGHT_IP])
        self.process.wait_log("ready")
        wait_until(self.process.running, "the path", show=self.process.log_tail)

    def stop(self):
        self.process.terminate()
