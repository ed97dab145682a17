# SPDX-License-Identifier: Apache-2.0
"""Our edge with a scripted stock agent, in captured bytes: registration with every outcome."""

from peers import agent as stock
from peers import rpc
from peers.capnp import Struct
from support.adit import Edge
from support.case import Case, main
from support.waiting import wait_until


class EdgeRegistrationTest(Case):
    def edge(self, settings=""):
        self.daemon = Edge(self, settings=settings).start()
        self.credentials = self.daemon.create_tunnel()
        return self.daemon

    def agent(self, index=0, client_id=None, start=True, change=None, **options):
        registration = stock.load_registration(self.credentials, index, client_id)
        if change:
            change(registration)
        agent = stock.Agent(("127.0.0.1", self.daemon.port), self.daemon.ca_file, registration,
                            **options)
        self.addCleanup(agent.close)
        return agent.start() if start else agent

    def assertRefused(self, agent, text):
        self.assertIsNone(agent.wait_registered())
        self.assertIn(text, agent.refused[0])
        # G1: a stock agent leaves TCP open for ever; the edge has to close it.
        agent.wait(lambda: agent.peer_closed, "the edge to close TCP")

    def test_captured_bytes_register(self):
        self.edge()
        agent = self.agent()
        uuid_bytes, location, remote = agent.wait_registered()
        self.assertEqual(len(uuid_bytes), 16)
        self.assertTrue(location)
        self.assertFalse(remote)
        self.assertEqual(agent.returns[0].cap, 0)
        self.assertEqual(agent.control_headers[":method"], "GET")
        self.assertEqual(agent.control_headers["adit-edge"].split(";")[0], "1")
        agent.push_config('{"ingress":[{"service":"http_status:404"}],"warp-routing":{}}')
        agent.wait(lambda: len(agent.returns) == 3, "the answer to the local configuration")
        self.assertEqual(agent.returns[2].outcome, rpc.RESULTS)

    def test_order_of_calls_and_ids(self):
        """Imported target, question id 0 again, Finish late or never."""
        self.edge()
        agent = self.agent(auto=False)
        agent.wait(lambda: agent.control, "the control stream")
        agent.tell(rpc.bootstrap(0))
        agent.wait(lambda: agent.returns, "the bootstrap's Return")
        agent.tell(rpc.call(0, rpc.REGISTER, agent.registration.encode()))
        agent.wait(lambda: len(agent.returns) == 2, "the registration's Return")
        self.assertEqual(agent.returns[1].id, 0)
        self.assertEqual(agent.returns[1].results.struct(0).get("H", 0), 1)

    def test_bytes_one_by_one(self):
        self.edge()
        agent = self.agent(auto=False)
        agent.wait(lambda: agent.control, "the control stream")
        for byte in rpc.bootstrap(0):
            agent.tell(bytes([byte]))
        # The answer makes the agent say Finish, which must not end up inside the next message.
        agent.wait(lambda: agent.returns, "the bootstrap's Return")
        for byte in rpc.call(1, rpc.REGISTER, agent.registration.encode()):
            agent.tell(bytes([byte]))
        self.assertIsNotNone(agent.wait_registered())

    def test_wrong_credentials(self):
        self.edge()

        def change(what, value):
            return lambda registration: setattr(registration, what, value)
        for name, value in (("secret", bytes(32)), ("tunnel_id", bytes(16)),
                            ("account", "0" * 32), ("secret", b"")):
            with self.subTest(f"{name}={value!r}"):
                self.assertRefused(self.agent(change=change(name, value), captured=False),
                                   "Unauthorized")

    def test_unknown_interface_and_method_are_unimplemented(self):
        self.edge()
        agent = self.agent()
        agent.wait_registered()
        agent.tell(rpc.call(2, 0, Struct(0, 0), interface=0x1234567890ABCDEF))
        agent.wait(lambda: len(agent.returns) == 3, "the answer")
        self.assertEqual(agent.returns[2].outcome, rpc.EXCEPTION)
        agent.tell(rpc.call(3, 77, Struct(0, 0)))
        agent.wait(lambda: len(agent.returns) == 4, "the answer")
        self.assertEqual(agent.returns[3].outcome, rpc.EXCEPTION)
        self.assertFalse(agent.closed)

    def test_finish_before_the_answer(self):
        """An agent's RPC time-out: Finish with releaseResultCaps, then nothing breaks."""
        self.edge()
        agent = self.agent(auto=False)
        agent.wait(lambda: agent.control, "the control stream")
        agent.tell(rpc.bootstrap(0) + agent.registration_call() + rpc.finish(1, True))
        agent.wait(lambda: agent.returns or agent.closed, "the edge to go on")
        self.assertTrue(self.daemon.answers())

    def test_newcomer_replaces(self):
        self.edge()
        client_id = stock.new_client_id()
        old = self.agent(index=1, client_id=client_id)
        self.assertIsNotNone(old.wait_registered())
        new = self.agent(index=1, client_id=client_id)
        self.assertIsNotNone(new.wait_registered(), new.refused)
        old.wait(lambda: old.goaway is not None or old.peer_closed, "the old one to be sent away")
        old.wait(lambda: old.peer_closed, "the old one to be closed: it has no stream")
        self.assertFalse(new.closed)

    def test_duplicates_reject(self):
        self.edge("duplicates: reject\n")
        client_id = stock.new_client_id()
        old = self.agent(index=1, client_id=client_id)
        self.assertIsNotNone(old.wait_registered())
        new = self.agent(index=1, client_id=client_id)
        self.assertIsNone(new.wait_registered())
        self.assertEqual(new.refused[0], "EDUPCONN")
        new.wait(lambda: new.peer_closed, "the edge to close TCP")
        self.assertFalse(old.closed)

    def test_replicas(self):
        self.edge()
        agents = [self.agent(index=i) for i in (0, 0, 1, 255)]
        for agent in agents:
            self.assertIsNotNone(agent.wait_registered(), agent.refused)
        self.assertFalse(any(a.closed for a in agents))

    def test_revoked_secret_cuts(self):
        self.edge()
        agent = self.agent()
        self.assertIsNotNone(agent.wait_registered())
        self.daemon.admin("tunnel", "delete", "t1")
        agent.wait(lambda: agent.peer_closed, "the edge to close TCP")
        self.assertRefused(self.agent(), "Unauthorized")

    def test_silent_peers_are_dropped(self):
        """TLS and nothing else; HTTP/2 and no registration: both go, others stay."""
        self.edge()
        good = self.agent()
        good.wait_registered()
        quiet = self.agent(auto=False)
        quiet.wait(lambda: quiet.peer_closed, "the edge to drop an agent that never registers")
        self.assertFalse(good.closed)

    def test_connection_is_listed_and_closed(self):
        self.edge()
        agent = self.agent(index=3)
        agent.wait_registered()
        listed = wait_until(self.daemon.agents, "the connection to be listed")
        self.daemon.admin("connection", "close", str(listed[0]["id"]))
        agent.wait(lambda: agent.peer_closed, "the edge to close TCP")


if __name__ == "__main__":
    main()
