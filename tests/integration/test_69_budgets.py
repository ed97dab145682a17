# SPDX-License-Identifier: Apache-2.0
"""Agent and edge at each of their bounds: one more is told `limit`, what runs goes on, and a place
that is given up is free again."""

import socket

from peers import agent as stock
from support import adit, origin
from support.case import Case, main
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

SILENT = "10.116.0.9"
LIMIT = 18      # exit status of `adit connect`


class Budgets(Case):
    """`held` is a stream that has to live on, whatever happens."""

    settings = edge_settings = ""

    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.stack = Stack(self, self.server.port, edge_settings=self.edge_settings, start=False)
        self.agent, self.edge = self.stack.agent, self.stack.edge
        self.stack.routes.append(
            adit.route(f"{SILENT}/32", via=f"127.0.0.1:{origin.silent_port(self)}"))
        self.configure(self.settings)
        self.agent.start().wait_state("Healthy")
        self.agent.wait_accepted()
        self.held = self.stack.popen()
        echo_line(self.held, "before")

    def tearDown(self):
        echo_line(self.held, "after")
        self.assertEqual(self.agent.state(), "Healthy")
        super().tearDown()

    def configure(self, settings):
        self.agent.configure(adit.routes(*self.stack.routes),
                             "warp-routing: {connectTimeout: 10m}\n" + settings)

    def load(self):
        return self.agent.status()[1]["load"]

    def status(self):
        return self.edge.json("status")

    def dial_silence(self, n, count):
        """@n clients whose connections stay half-open; @count tells how many there are."""
        before = count()
        dials = [self.stack.popen(SILENT) for _ in range(n)]
        wait_until(lambda: count() == before + n, "the dials", show=lambda: str(count()))
        return dials

    def end(self, process, count):
        """A client goes; @count falls by one."""
        before = count()
        process.kill()
        wait_until(lambda: count() == before - 1, "the place to be free")

    def assert_told(self, host=HOST):
        """A user hears of the limit by name."""
        done = self.stack.connect(host=host)
        self.assertEqual(done.returncode, LIMIT, done.stderr)
        self.assertIn(b"limit", done.stderr)
        echo_line(self.held, "meanwhile")


class AgentBudgets(Budgets):
    settings = "max-active-flows: 5\nmax-dials: 2\n"

    def test_half_open_dials(self):
        dials = self.dial_silence(2, lambda: self.load()["dials"])
        self.assertEqual(self.load()["refused"], 0)
        self.assert_told(SILENT)
        self.assert_told()
        self.assertEqual(self.load()["refused"], 2)
        self.agent.process.wait_log("limit=max-dials")
        self.assertIn("2 streams were refused at a limit", self.agent.command("status").stdout)
        self.end(dials.pop(), lambda: self.load()["dials"])
        echo_line(self.stack.popen(), "a place")
        # A reload makes room at once; who waits goes on waiting.
        self.dial_silence(1, lambda: self.load()["dials"])
        self.assert_told()
        self.configure("max-active-flows: 5\nmax-dials: 3\n")
        self.assertIn("max-dials", self.agent.reload().stdout)
        self.assertEqual(self.load()["dials_max"], 3)
        echo_line(self.stack.popen(), "more room")
        self.assertEqual(self.load()["dials"], 2)

    def test_streams(self):
        others = [self.stack.popen() for _ in range(4)]
        for process in others:
            echo_line(process, "hello")
        self.assertEqual(self.load()["streams"], 5)
        self.assert_told()
        self.agent.process.wait_log("limit=max-active-flows")
        for process in others[1:]:
            echo_line(process, "still")
        self.end(others[0], lambda: self.load()["streams"])
        echo_line(self.stack.popen(), "a place")

    def test_refusals_do_not_fill_the_log(self):
        self.dial_silence(2, lambda: self.load()["dials"])
        client = self.stack.scripted_client()
        for _ in range(300):
            self.assertEqual(client.answer(client.connect(f"{HOST}:22")), ("503", "limit"))
        self.assertEqual(self.load()["refused"], 300)
        lines = [x for x in self.agent.process.log().splitlines() if "limit=max-dials" in x]
        self.assertLess(len(lines), 50)


class EdgeStreams(Budgets):
    edge_settings = "limits: {max-streams: 4, max-dials: 2}\n"

    def test_streams(self):
        others = [self.stack.popen() for _ in range(3)]
        for process in others:
            echo_line(process, "hello")
        self.assertEqual(self.status()["streams"], 4)
        self.assert_told()
        self.edge.process.wait_log("limit=max-streams")
        self.assertEqual(self.status()["refused"], 1)
        for process in others[1:]:
            echo_line(process, "still")
        self.end(others[0], lambda: self.status()["streams"])
        echo_line(self.stack.popen(), "a place")

    def test_half_open_dials(self):
        dials = self.dial_silence(2, lambda: self.status()["dials"])
        self.assert_told()
        self.edge.process.wait_log("limit=max-dials")
        # The agent has room for more.
        self.assertEqual(self.load()["refused"], 0)
        self.end(dials[0], lambda: self.status()["dials"])
        echo_line(self.stack.popen(), "a place")


class EdgeLinks(Budgets):
    edge_settings = "limits: {max-clients: 2, max-connections: 5, max-handshakes: 6}\n"

    def test_clients(self):
        other = self.stack.popen()
        echo_line(other, "hello")
        self.assert_told()
        self.edge.process.wait_log("limit=max-clients")
        echo_line(other, "still")
        self.end(other, lambda: self.status()["client_connections"])
        echo_line(self.stack.popen(), "a place")

    def test_crowd_of_clients(self):
        """Only so many are told; all of them go."""
        echo_line(self.stack.popen(), "hello")
        crowd = [self.stack.scripted_client() for _ in range(80)]
        for client in crowd:
            client.wait(lambda c=client: c.closed or c.peer_settings, "the edge's SETTINGS")
        told = [c for c in crowd if not c.closed]
        self.assertIn(len(told), range(1, 65))
        self.assertLessEqual(len([c for c in self.edge.connections()
                                  if c["state"] == "turned away"]), 64)
        for client in crowd:
            client.wait(lambda c=client: c.peer_closed or c.closed, "the edge to close")
        self.assertEqual(self.status()["client_connections"], 2)

    def test_strangers_give_way(self):
        """Who has shown no token is no reason to refuse somebody who will."""
        stranger = self.stack.scripted_client()
        stranger.wait(lambda: stranger.peer_settings, "the edge's SETTINGS")
        echo_line(self.stack.popen(), "hello")
        stranger.wait(lambda: stranger.peer_closed, "the edge to close")

    def register(self):
        agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file,
                            stock.load_registration(self.stack.tunnel))
        self.addCleanup(agent.close)
        agent.start().wait_registered()
        return agent

    def test_agents(self):
        """The fifth connection is the last; the sixth is told by when to come again."""
        fifth = self.register()
        self.assertIsNone(fifth.refused)
        late = self.register()
        cause, should_retry, retry_after_ns = late.refused
        self.assertTrue(cause.startswith("limit: "), cause)
        self.assertTrue(should_retry)
        self.assertGreater(retry_after_ns, 0)
        late.wait(lambda: late.peer_closed, "the edge to close TCP")
        self.edge.process.wait_log("limit=max-connections")
        self.assertEqual(len(self.edge.agents()), 5)
        fifth.unregister()
        fifth.wait(lambda: fifth.peer_closed, "the edge to close TCP")
        wait_until(lambda: self.register().details, "a place")

    def test_second_agent_says_why(self):
        """Ours gets one of its four connections and shows why there are no more."""
        other = adit.Agent(self, self.edge.address, self.edge.ca_file, self.stack.tunnel,
                           name="other").start()
        other.wait_state("Degraded")
        wait_until(lambda: any("limit: " in c.get("last_error", "") for c in other.connections()),
                   "the reason", show=lambda: str(other.connections()))

    def test_handshakes(self):
        """The oldest gives way to somebody who goes on."""
        idle = [socket.create_connection(("127.0.0.1", self.edge.port), 60) for _ in range(6)]
        for sock in idle:
            self.addCleanup(sock.close)
        wait_until(lambda: self.status()["handshakes"] == 6, "the handshakes")
        echo_line(self.stack.popen(), "hello")
        self.edge.process.wait_log("limit=max-handshakes")
        self.assertEqual(idle[0].recv(1), b"")
        self.assertEqual(self.status()["handshakes"], 5)
        for sock in idle[1:]:
            sock.close()
        wait_until(lambda: self.status()["handshakes"] == 0, "the handshakes to end")


if __name__ == "__main__":
    main()
