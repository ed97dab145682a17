# SPDX-License-Identifier: Apache-2.0
"""Half-dead connections are replaced, each side's status says why; slow and busy ones are not."""

import json
import re
import signal
import subprocess

from support import origin
from support.adit import Agent, Edge, connect, connect_argv, route, routes
from support.case import Case, main
from support.delay import RIGHT_IP, Delay
from support.netns import EDGE_IP, Path, add, enter, path as netns_path
from support.require import need
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

DEADLINE_S = 90     # for what takes 15 s at the most
SILENT = "no answer to PING and nothing read"
SERVER_IP = "10.116.0.3"

# An echo, or N bytes each way, in a namespace: no thread of ours can be there.
ECHO = """
import socket, threading
server = socket.create_server((%r, 22))
print("ready", flush=True)
def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.close()
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""


def ids(edge):
    """{connection index: the edge's id of the registered connection}"""
    return {c["index"]: c["id"] for c in edge.agents()}


def reasons(agent):
    """{connection index: why it was lost}, by the events."""
    found = [json.loads(line) for line in
             agent.command("events", "--json").stdout.splitlines()]
    return {e["fields"]["index"]: e["fields"]["reason"] for e in found
            if e["kind"] == "connection" and e["fields"].get("from") == "registered"}


def serve_echo(case, prefix, address):
    server = case.start("echo", prefix + ["/usr/bin/python3", "-c", ECHO % address])
    server.wait_log("ready")


class HalfDeadTest(Case):
    """Four connections; one doesn't hear the edge any more, the edge doesn't hear another."""

    def setUp(self):
        need("netns", "nft")
        super().setUp()
        self.net = Path(self)
        subprocess.run(self.net.prefix("agent") + ["ip", "addr", "add", f"{SERVER_IP}/32",
                                                   "dev", "lo"], check=True)
        serve_echo(self, self.net.prefix("agent"), SERVER_IP)
        self.edge = Edge(self, host=EDGE_IP, prefix=self.net.prefix("edge")).start()
        self.client = self.edge.create_client()
        self.agent = Agent(self, self.edge.address, self.edge.ca_file, self.edge.create_tunnel(),
                           routes(route(f"{SERVER_IP}/32")),
                           prefix=self.net.prefix("agent")).start()
        self.agent.wait_state("Healthy")
        self.agent.wait_accepted()
        subprocess.run(self.net.prefix("router") + ["nft", "-f", "-"], check=True, encoding="utf-8",
                       input="table ip t { chain c { type filter hook forward priority 0; }\n}")

    def popen(self):
        return self.start(f"connect-{len(self.processes)}", self.net.prefix("edge") +
                          connect_argv(SERVER_IP, 22, self.client), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=0)

    def swallow(self, direction, index):
        """From now on the router drops what connection @index sends ("sport") or gets."""
        port, = (c["peer"].rpartition(":")[2] for c in self.edge.agents() if c["index"] == index)
        subprocess.run(self.net.prefix("router") + ["nft", "add", "rule", "ip", "t", "c", "tcp",
                                                    direction, port, "drop"], check=True)

    def end_at_edge(self, connection):
        """Why it closed @connection, by its log."""
        return re.search(f'connection closed connection={connection} .* reason="([^"]*)"',
                         self.edge.process.log()).group(1)

    def test_one_way_black_holes(self):
        before = ids(self.edge)
        streams = [self.popen() for _ in range(4)]
        for stream in streams:
            echo_line(stream, "before")
        self.swallow("dport", 0)
        self.swallow("sport", 1)
        wait_until(lambda: set(reasons(self.agent)) == {0, 1}, "both to be given up", DEADLINE_S,
                   lambda: self.agent.command("events").stdout)
        self.assertEqual(reasons(self.agent), {0: SILENT, 1: SILENT})
        self.agent.wait_state("Healthy")
        status = self.agent.connections()
        self.assertEqual([c.get("last_error") for c in status], [SILENT, SILENT, None, None])
        # The edge: told by a reset of the one, and by silence of the other, which it suspects
        # first. Both have successors; the others are the same as ever.
        self.edge.process.wait_log("connection suspect", DEADLINE_S)
        wait_until(lambda: not {before[0], before[1]} & {c["id"] for c in self.edge.connections()}
                   and set(ids(self.edge)) == {0, 1, 2, 3}, "the edge to drop both", DEADLINE_S,
                   lambda: str(self.edge.connections()))
        # A FIN would wait behind what was never acknowledged.
        self.assertEqual([self.end_at_edge(before[i]) for i in (0, 1)],
                         ["Connection reset by peer", SILENT])
        after = ids(self.edge)
        self.assertEqual((after[2], after[3]), (before[2], before[3]))
        # Streams of the dead ones end; those of the others never noticed.
        wait_until(lambda: sum(not s.running() for s in streams) == 2, "two streams to end",
                   DEADLINE_S)
        for stream in streams:
            if stream.running():
                echo_line(stream, "after")
        for _ in range(8):
            echo_line(self.popen(), "new")


class SlowPathTest(Case):
    def test_busy_queue_with_loss(self):
        """1 Mbit/s, a full queue and lost packets both ways: nobody gives up a connection."""
        need("netns")
        left, right = (add(self, f"adit{self._testMethodName[-4:]}{id(self) % 99991}{side}")
                       for side in "lr")
        Delay(self, netns_path(left), netns_path(right),
              both={"delay": 40, "rate": 1, "queue": 131072, "loss": 0.01})
        subprocess.run(enter(left) + ["ip", "addr", "add", f"{SERVER_IP}/32", "dev", "lo"],
                       check=True)
        serve_echo(self, enter(left), SERVER_IP)
        edge = Edge(self, host=RIGHT_IP, prefix=enter(right)).start()
        client = edge.create_client()
        agent = Agent(self, edge.address, edge.ca_file, edge.create_tunnel(),
                      routes(route(f"{SERVER_IP}/32")), prefix=enter(left)).start()
        agent.wait_state("Healthy")
        agent.wait_accepted()
        before = ids(edge)
        data = origin.pattern(2_000_000)
        process = self.start("bulk", enter(right) + connect_argv(SERVER_IP, 22, client),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        feeder = self.thread(process.stdin.write, data)
        got = bytearray()
        while len(got) < len(data):
            piece = process.stdout.read(65536)
            self.assertTrue(piece, process.log_tail())
            got += piece
        feeder.join()
        self.assertEqual(bytes(got), data)
        self.assertEqual(ids(edge), before)
        self.assertEqual(reasons(agent), {})
        # By the rate it took longer than the limits: else this shows nothing.
        self.assertGreater(min(c["since_s"] for c in agent.connections()), 10)


class SuspendTest(Case):
    def test_stopped_for_longer_than_the_limit(self):
        """The edge has given it up when it comes back: all connections are new, at once."""
        stack = Stack(self, serve(self, origin.echo).port)
        before = ids(stack.edge)
        held = stack.popen()
        echo_line(held, "before")
        stack.agent.process.signal(signal.SIGSTOP)
        self.addCleanup(stack.agent.process.signal, signal.SIGCONT)
        stack.edge.process.wait_log("connection suspect", DEADLINE_S)
        wait_until(lambda: not stack.edge.agents(), "the edge to give up all four", DEADLINE_S)
        self.assertNotEqual(held.wait(), 0)
        stack.agent.process.signal(signal.SIGCONT)
        wait_until(lambda: len(ids(stack.edge)) == 4, "all to be back",
                   show=stack.agent.process.log_tail)
        self.assertFalse(set(before.values()) & set(ids(stack.edge).values()))
        stack.agent.wait_state("Healthy")
        stack.agent.wait_accepted()
        done = connect(HOST, 22, stack.client, b"hello")
        self.assertEqual(done.stdout, b"hello", done.stderr)


if __name__ == "__main__":
    main()
