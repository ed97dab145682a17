# SPDX-License-Identifier: Apache-2.0
"""The scripted peers against each other: what they show must not be a mistake of their own."""

import json

from peers import agent as stock
from peers import edge as scripted
from peers import rpc
from support import origin
from support.case import Case, main
from support.require import need
from support.tlsca import Authority
from support.waiting import wait_until

ACCOUNT = "f" * 32
SECRET = bytes(range(32, 64))
TUNNEL = bytes(range(16))


class GoldenTest(Case):
    def test_builder_writes_what_was_captured(self):
        sent = rpc.golden("success", 0, "agent2edge")
        self.assertEqual(rpc.bootstrap(), sent[0])
        self.assertEqual(rpc.finish(0), sent[2])
        self.assertEqual(rpc.call(1, rpc.UNREGISTER, rpc.Struct(0, 0)), sent[6])
        self.assertEqual(rpc.abort(), sent[9])
        received = rpc.golden("success", 0, "edge2agent")
        self.assertEqual(rpc.bootstrap_results(0), received[0])
        self.assertEqual(rpc.results(1, rpc.Struct(0, 0)), received[2])

    def test_registration_survives_a_round_trip(self):
        captured = rpc.Registration.decode(
            rpc.Message(rpc.golden("success", 0, "agent2edge")[1]).params)
        rebuilt = rpc.call(1, rpc.REGISTER, captured.encode(), pipelined_on=0)
        again = rpc.Registration.decode(rpc.Message(rebuilt).params)
        self.assertEqual(vars(captured), vars(again))
        self.assertEqual(captured.version, "2026.8.2")
        self.assertEqual(len(rebuilt), 552)

    def test_errors_read_as_captured(self):
        for scenario, text in (("reg-dup", "EDUPCONN"), ("reg-retry", None), ("reg-perm", None)):
            message = rpc.Message(rpc.golden(scenario, 0, "edge2agent")[1])
            error = message.results.struct(0).struct(0)
            self.assertTrue(text is None or error.text(0) == text)
            self.assertEqual(bool(error.get("B", 8) & 1), scenario == "reg-retry")


class PeersTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        self.authority = Authority(self.path("ca"))

    def pair(self, outcome=scripted.success, captured=True, **options):
        edge = scripted.Edge(self.authority, [outcome], **options)
        self.addCleanup(edge.close)
        registration = rpc.Registration(ACCOUNT, SECRET, TUNNEL, 2, stock.new_client_id())
        agent = stock.Agent(("127.0.0.1", edge.port), self.authority.ca_file, registration,
                            captured=captured)
        self.addCleanup(agent.close)
        agent.start()
        return edge, agent

    def serve(self, behaviour):
        server = origin.Origin(behaviour)
        self.addCleanup(server.close)
        return server, f"127.0.0.1:{server.port}"

    def test_registration_with_captured_and_with_built_bytes(self):
        for captured in (True, False):
            edge, agent = self.pair(captured=captured)
            self.assertIsNotNone(agent.wait_registered())
            self.assertEqual(agent.details[1], "lax01")
            conn = edge.wait_registered(1)[2]
            self.assertEqual(conn.registration.account, ACCOUNT)
            self.assertEqual(conn.registration.secret, SECRET)
            self.assertEqual(conn.registration.tunnel_id, TUNNEL)
            self.assertEqual(edge.server_names[-1], "h2.cftunnel.com")
            self.assertEqual(conn.peer_settings[5], 1048576)

    def test_refusals_leave_tcp_open(self):
        for outcome, cause in ((scripted.duplicate, "EDUPCONN"),
                               (scripted.unauthorized, "Unauthorized: Failed to get tunnel")):
            edge, agent = self.pair(outcome)
            self.assertIsNone(agent.wait_registered())
            self.assertEqual(agent.refused[0], cause)
            conn = edge.connections[0]
            conn.wait(lambda: conn.control.reset is not None, "the end of the control stream")
            self.assertEqual(conn.control.log[-2:], ["end", "reset:0"])
            self.assertFalse(conn.closed)

    def test_other_outcomes(self):
        _, agent = self.pair(scripted.exception)
        agent.wait_registered()
        self.assertEqual(agent.exception, "the edge is on fire")
        _, agent = self.pair(scripted.abort)
        agent.wait(lambda: agent.edge_abort, "the abort")
        _, agent = self.pair(scripted.hang_up)
        agent.wait(lambda: agent.peer_closed, "the end of the connection")

    def test_config_push_and_local_config(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        agent.push_config('{"ingress":[]}')
        wait_until(lambda: conn.local_config, "the local configuration")
        status, _, body = conn.push_config({"version": 1, "config": {}})
        self.assertEqual((status, json.loads(body)),
                         ("200", {"lastAppliedVersion": 1, "err": None}))

    def test_tcp_stream_and_stock_teardown(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        _, address = self.serve(origin.echo)
        stream = conn.open_tcp(address)
        self.assertEqual(conn.wait_answer(stream)[":status"], "200")
        data = origin.pattern(3 << 20)
        sender = self.thread(conn.send, stream, data)
        conn.wait(lambda: stream.n_received == len(data), "the echo")
        sender.join(10)
        self.assertEqual(bytes(stream.data), data)
        conn.end(stream)
        conn.wait_end(stream)
        self.assertEqual(stream.log, ["headers", "data", "end"])

    def test_origin_ends_first(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        _, address = self.serve(origin.reset)
        stream = conn.open_tcp(address)
        conn.wait_answer(stream)
        conn.send(stream, b"x")
        conn.wait(lambda: stream.reset is not None, "the reset")
        self.assertEqual(stream.log, ["headers", "end", "reset:0"])

    def test_bad_targets(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        for target in ("localhost:1", "127.0.0.1", "127.0.0.1:1"):
            stream = conn.open_tcp(target)
            self.assertEqual(conn.wait_answer(stream)[":status"], "502")
            conn.wait(lambda: stream.reset is not None, "the reset")
            self.assertEqual(stream.log, ["headers", "end", "reset:0"])

    def test_unregister(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        agent.unregister()
        agent.wait(lambda: agent.peer_closed, "the edge to close TCP")
        self.assertTrue(conn.unregistered)

    def test_goaway_ends_no_stream(self):
        edge, agent = self.pair()
        agent.wait_registered()
        conn = edge.wait_registered(1)[2]
        _, address = self.serve(origin.echo)
        stream = conn.open_tcp(address)
        conn.wait_answer(stream)
        conn.send_goaway()
        agent.wait(lambda: agent.goaway == 0, "the GOAWAY")
        conn.send(stream, b"still here")
        conn.wait(lambda: bytes(stream.data) == b"still here", "the echo")


if __name__ == "__main__":
    main()
