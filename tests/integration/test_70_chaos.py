# SPDX-License-Identifier: Apache-2.0
"""Half a minute of `make chaos`: real ssh, scp and rsync while agents, edges and links break."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from chaos import driver, table
from support.case import Case, main
from support.require import need

SECONDS = 30
SEED = 2        # the same faults each time; others are for make chaos
# The test has the machine for itself as little as its sessions have: five times the limits.
FACTOR = 5
GROWTH_KIB = 300 * 1024     # sanitizers keep what was freed


class ChaosTest(Case):
    def test_half_a_minute(self):
        need("root", "netns", "nft", "tun", "sshd", "rsync")
        said = [f"--seed {SEED}"]
        report = driver.run(self, SECONDS, 10, 3, SEED, driver.Limits(FACTOR, GROWTH_KIB),
                            said.append, pause_s=(0.2, 1.0), at_once=4)
        text = "\n".join([*said, *table.whole(report)])
        self.assertTrue(report.kept, text)
        # It was not for nothing: things broke, and sessions with them.
        self.assertGreater(len(report.faults), 5, text)
        self.assertTrue([v for v in report.verdicts if v.result == "ended as it may"], text)


if __name__ == "__main__":
    main()
