# SPDX-License-Identifier: Apache-2.0
"""Nobody reads, small budgets: the edge stays under its hard bound, every PING is answered, and all
arrives when the readers go on."""

import threading

from support import origin
from support.case import Case, main
from support.stack import Stack, serve
from support.waiting import wait_until

MIB = 1 << 20
BUDGET, WINDOWS = MIB, 24 * MIB
N_STREAMS = 12
N_BYTES = 6 * MIB


class BufferBoundTest(Case):
    def setUp(self):
        super().setUp()
        self.release = threading.Event()

    def read_late(self, sock):
        """Sends much, reads nothing until told, answers with the digest of what came."""
        writer = threading.Thread(target=sock.sendall, args=(self.down,), daemon=True)
        writer.start()
        self.release.wait()
        received = bytearray()
        while data := sock.recv(262144):
            received += data
        self.received.append(origin.sha256(bytes(received)))
        writer.join()

    def status(self):
        status = self.stack.edge.json("status")
        self.assertLessEqual(status["windows_bytes"], WINDOWS)
        self.assertLessEqual(status["buffered_peak_bytes"], BUDGET + WINDOWS)
        return status

    def check_granted(self):
        """While all connections are there the bound is what they were granted, not what they
        might have been."""
        status = self.status()
        self.assertLessEqual(status["buffered_peak_bytes"], BUDGET + status["windows_bytes"])

    def push(self, process):
        process.stdin.write(self.up)
        process.stdin.close()

    def pull(self, process):
        self.release.wait()
        got = bytearray()
        while piece := process.stdout.read(65536):
            got += piece
        self.answers.append(origin.sha256(bytes(got)))

    def is_stuck(self):
        sent = [(c["bytes_in"], c["bytes_out"]) for c in self.stack.edge.connections()]
        moved, self.sent = sent != self.sent, sent
        return not moved

    def round_trips(self):
        return [c.get("rtt_us") for c in self.stack.agent.connections()]

    def test_all_readers_stall_and_go_on(self):
        self.up, self.down = origin.pattern(N_BYTES), origin.pattern(N_BYTES, seed=2)
        self.received, self.answers, self.sent = [], [], None
        self.stack = Stack(self, serve(self, self.read_late).port,
                           settings="buffer-budget: 1MiB\nwindow-budget: 16MiB\n",
                           edge_settings=f"buffer-budget: {BUDGET}\nwindow-budget: {WINDOWS}\n"
                           "limits:\n  max-connections: 20\n  max-clients: 40\n")
        processes = [self.stack.popen() for _ in range(N_STREAMS)]
        threads = [self.thread(work, p) for p in processes for work in (self.push, self.pull)]
        wait_until(lambda: self.status()["buffered_bytes"] > MIB and self.is_stuck(),
                   "the edge to be over its budget, and nothing to move")
        # Each agent connection has another measured round trip: a PING passed meanwhile.
        before = self.round_trips()
        wait_until(lambda: all(a != b for a, b in zip(self.round_trips(), before)),
                   "answers to PINGs")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        self.check_granted()
        self.release.set()
        for process in processes:
            self.assertEqual(process.wait(), 0, process.log_tail())
        for thread in threads:
            thread.join(60)
        wait_until(lambda: len(self.received) == N_STREAMS, "the origins to read to the end")
        self.assertEqual(set(self.received), {origin.sha256(self.up)})
        self.assertEqual(self.answers, [origin.sha256(self.down)] * N_STREAMS)
        wait_until(lambda: self.status()["buffered_bytes"] == 0, "empty buffers")


if __name__ == "__main__":
    main()
