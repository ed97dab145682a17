# SPDX-License-Identifier: Apache-2.0
"""bench/delay.c: what it loses and swaps depends on its seed, and its queue is bounded."""

import itertools
import json
import os
import subprocess
import sys

from support import netns
from support.case import Case, main
from support.delay import LEFT_IP, RIGHT_IP, Delay
from support.require import need

PORT = 7000
_count = itertools.count()

# Prints the numbers of the datagrams in the order they came in, once the last one (which is sent until
# it arrives) and those that it overtook are there.
SINK = f"""
import json, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
s.bind(("{RIGHT_IP}", {PORT}))
print("ready", flush=True)
seen = []
while True:
    try:
        data, peer = s.recvfrom(2048)
    except TimeoutError:
        break
    if data == b"end":
        s.sendto(b"end", peer)
        s.settimeout(1)
    else:
        seen.append(int(data.split()[0]))
print(json.dumps(seen), flush=True)
"""

SOURCE = f"""
import socket, sys
n, size = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("{RIGHT_IP}", {PORT}))
for i in range(n):
    s.send(f"{{i}} ".encode().ljust(size, b"."))
s.settimeout(0.2)
while True:
    s.send(b"end")
    try:
        s.recv(10)
        break
    except TimeoutError:
        pass
"""


class DelayTest(Case):
    def setUp(self):
        need("netns", "tun", "root")
        super().setUp()
        base = f"adit{os.getpid()}d{next(_count)}"
        self.names = [base + side for side in ("left", "right")]
        for name in self.names:
            netns.add(self, name)

    def carry(self, n, size=100, **limits):
        """Which of @n datagrams to the right arrived, in their order."""
        paths = [netns.path(name) for name in self.names]
        delay = Delay(self, *paths, name=f"delay{next(_count)}", **limits)
        prefixes = [netns.enter(name) for name in self.names]
        sink = self.start(f"sink{next(_count)}", prefixes[1] + [sys.executable, "-c", SINK],
                          stdout=subprocess.PIPE)
        self.assertEqual(sink.stdout.readline(), b"ready\n")
        subprocess.run(prefixes[0] + [sys.executable, "-c", SOURCE, str(n), str(size)], check=True,
                       timeout=120)
        seen = json.loads(sink.stdout.readline())
        sink.wait()
        delay.stop()
        return seen

    def test_everything_arrives_in_order(self):
        self.assertEqual(self.carry(200, both={"delay": 5}), list(range(200)))

    def test_loss_is_that_of_the_seed(self):
        first, again, other = (self.carry(300, seed=seed, to_right={"loss": 0.3})
                               for seed in (7, 7, 8))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertTrue(120 < len(first) < 290, len(first))

    def test_the_other_direction_has_its_own_limits(self):
        self.assertEqual(self.carry(100, to_left={"loss": 0.5}), list(range(100)))

    def test_late_packets_are_overtaken(self):
        seen = self.carry(200, both={"reorder": 0.2, "extra": 100})
        self.assertEqual(sorted(seen), list(range(200)))
        self.assertNotEqual(seen, sorted(seen))

    def test_a_full_queue_drops_the_newest(self):
        seen = self.carry(200, size=1000, to_right={"rate": 0.1, "queue": 3100})
        self.assertEqual(seen[0], 0)
        self.assertLess(len(seen), 150)
        self.assertEqual(seen, sorted(seen))

    def test_wrong_limits_are_named(self):
        for limits, word in (("speed=3", "speed"), ("loss=x", "x"), ("delay", "delay")):
            program = os.path.join(os.environ["ADIT_BUILD_DIR"], "bench", "delay")
            done = subprocess.run((program, "--both", limits, "a", LEFT_IP, "b", RIGHT_IP),
                                  stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 64)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    main()
