# SPDX-License-Identifier: Apache-2.0
"""A slow path is not a dead one: full queues both ways for a minute replace no connection."""

from support import origin
from support.case import Case, main
from support.shaper import Shaper
from support.stack import Stack, serve
from support.waiting import wait_until

N = 8_000_000
MBIT = 1_000_000 // 8


class SlowPathTest(Case):
    def test_8_mb_each_way_through_1_mbit(self):
        data = origin.pattern(N)
        behaviour = origin.send_all(data, at_once=True)
        server = serve(self, behaviour)
        shapers = []

        def through_shaper(edge):
            shapers.append(Shaper(("127.0.0.1", edge.port), buffer_bytes=700_000))
            self.addCleanup(shapers[0].close)
            return f"127.0.0.1:{shapers[0].port}"
        stack = Stack(self, server.port, edges=through_shaper)
        shaper, = shapers
        before = {c["index"]: c["since_s"] for c in stack.agent.connections()}
        shaper.up.bytes_per_s = shaper.down.bytes_per_s = MBIT
        up = origin.pattern(N, seed=2)
        process = stack.popen()
        feeder = self.thread(self.feed, process, up)
        got = bytearray()
        while piece := process.stdout.read(65536):
            got += piece
        self.assertEqual(bytes(got), data)
        feeder.join(60)
        self.assertEqual(process.wait(), 0, process.log_tail())
        wait_until(lambda: behaviour.received, "the origin to see our end")
        self.assertEqual(behaviour.received, [origin.sha256(up)])
        self.assertEqual(shaper.accepted, 4, "a connection was replaced")
        for c in stack.agent.connections():
            self.assertEqual(c["state"], "registered")
            self.assertGreaterEqual(c["since_s"], before[c["index"]])

    @staticmethod
    def feed(process, data):
        process.stdin.write(data)
        process.stdin.close()


if __name__ == "__main__":
    main()
