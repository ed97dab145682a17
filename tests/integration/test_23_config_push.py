# SPDX-License-Identifier: Apache-2.0
"""A scripted stock edge pushes configuration to our agent, with cloudflared's version rules,
and opens streams of the kinds that adit doesn't serve."""

import json

from peers import edge as scripted
from support import origin
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.tlsca import Authority

LIMIT = 256 * 1024
HTTP = [(":method", "GET"), (":path", "/a?b"), (":scheme", "https"),
        (":authority", "x.example.com")]


class ConfigPushTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.remotely_managed])
        self.addCleanup(self.edge.close)
        self.server = origin.Origin(origin.echo)
        self.addCleanup(self.server.close)
        self.ca_file = authority.ca_file

    def start_agent(self, settings=""):
        self.agent = Agent(
            self, self.edge.address, self.ca_file, write_credentials(self),
            routes(route("10.116.0.3/32", via=f"127.0.0.1:{self.server.port}")),
            settings="edge-server-name: h2.cftunnel.com\nha-connections: 2\n" + settings).start()
        self.conn = self.edge.wait_registered(2)[1]

    def assertAnswer(self, body, version, ok=True):
        status, headers, answer = self.conn.push_config(body)
        self.assertEqual(status, "200")
        self.assertEqual(headers["content-type"], "text/plain; charset=utf-8")
        self.assertNotIn("cf-cloudflared-response-meta", headers)
        self.assertEqual(int(headers["content-length"]), len(answer))
        answer = json.loads(answer)
        self.assertEqual(answer["lastAppliedVersion"], version)
        if ok:
            self.assertIsNone(answer["err"])
        else:
            self.assertIsInstance(answer["err"], dict)

    def assertUnreadable(self, body):
        status, headers, answer = self.conn.push_config(body)
        self.assertEqual((status, answer), ("502", b""))
        self.assertEqual(headers["cf-cloudflared-response-meta"], '{"src":"cloudflared"}')

    def open_echo(self):
        stream = self.conn.open_tcp("10.116.0.3:22")
        return stream, self.conn.wait_answer(stream)

    def test_versions(self):
        self.start_agent()
        self.assertAnswer({"version": 0, "config": {}}, 0)
        self.assertAnswer({"version": 5, "config": {"warp-routing": {"connectTimeout": 3}}}, 5)
        self.assertAnswer({"version": 5, "config": {"warp-routing": {"connectTimeout": 4}}}, 5)
        self.assertAnswer({"version": 1, "config": {}}, 5)
        self.assertAnswer({"version": 6, "config": {"warp-routing": {"connectTimeout": 1.5}}}, 5,
                          ok=False)
        self.assertAnswer({"version": 6, "config": {"warp-routing": {"connectTimeout": "3s"}}}, 5,
                          ok=False)
        self.assertAnswer({"version": 7, "config": {
            "ingress": [{"service": "http_status:404"}], "originRequest": {}}}, 7)
        # One process, one version: another connection answers the same.
        self.conn = self.edge.registered()[0]
        self.assertAnswer({"version": 7, "config": {}}, 7)

    def test_unreadable(self):
        self.start_agent()
        self.assertUnreadable(b"")
        self.assertUnreadable(b'{"version":3,"config":{')
        self.assertUnreadable(b"\x00\xff" * 100)
        self.assertUnreadable(b'{"version":3,"config":' + b"[" * 40 + b"]" * 40 + b"}")
        huge = json.dumps({"version": 3, "config": {}, "x": "y" * LIMIT}).encode()
        self.assertUnreadable(huge)
        self.assertAnswer({"version": 3, "config": {}}, 3)

    def test_limits_apply_within_local_bounds(self):
        self.start_agent("warp-routing:\n  maxActiveFlows: 2\n")
        self.assertAnswer({"version": 1, "config": {"warp-routing": {"maxActiveFlows": 1}}}, 1)
        stream, answer = self.open_echo()
        self.assertEqual(answer[":status"], "200")
        _, answer = self.open_echo()
        self.assertEqual(answer[":status"], "502")
        self.assertEqual(answer["cf-cloudflared-response-meta"],
                         '{"src":"cloudflared","flow_rate_limited":true}')
        self.assertAnswer({"version": 2, "config": {"warp-routing": {"maxActiveFlows": 1000}}}, 2)
        self.assertEqual(self.open_echo()[1][":status"], "200")
        self.assertEqual(self.open_echo()[1][":status"], "502", "wider than the file allows")
        self.conn.send(stream, b"alive")
        self.conn.wait(lambda: bytes(stream.data) == b"alive", "the echo")

    def test_config_opens_nothing(self):
        """No pushed key makes a destination reachable that the file doesn't name."""
        self.start_agent()
        rule = {"service": f"tcp://127.0.0.1:{self.server.port}"}
        self.assertAnswer({"version": 1, "config": {
            "ingress": [rule], "warp-routing": {"enabled": True}}}, 1)
        stream = self.conn.open_tcp(f"127.0.0.1:{self.server.port}")
        answer = self.conn.wait_answer(stream)
        self.assertEqual(answer[":status"], "502")
        self.assertEqual(self.server.accepted, 0)

    def test_remote_config_off(self):
        self.start_agent("remote-config: off\n")
        status, _, answer = self.conn.push_config({"version": 1, "config": {}})
        if status == "200":
            self.assertIsNotNone(json.loads(answer)["err"])
        else:
            self.assertEqual(status, "502")

    def test_other_stream_kinds_get_a_clean_502(self):
        self.start_agent()
        for extra in ([], [("cf-cloudflared-proxy-connection-upgrade", "websocket")],
                      [("cf-cloudflared-proxy-connection-upgrade", "bogus")],
                      [("cf-cloudflared-proxy-connection-upgrade", "control-stream")]):
            stream = self.conn.open(HTTP + extra)
            answer = self.conn.wait_answer(stream)
            self.conn.wait_end(stream)
            self.assertEqual(answer[":status"], "502", extra)
            self.assertEqual(answer["cf-cloudflared-response-meta"], '{"src":"cloudflared"}')
            self.assertEqual(stream.n_received, 0)
        self.assertEqual(self.open_echo()[1][":status"], "200")

    def test_proxy_src_beats_control_stream(self):
        self.start_agent()
        stream = self.conn.open_tcp("10.116.0.3:22", [
            ("cf-cloudflared-proxy-connection-upgrade", "control-stream")])
        answer = self.conn.wait_answer(stream)
        self.assertEqual(answer["cf-cloudflared-response-meta"], '{"src":"origin"}')
        self.conn.send(stream, b"tcp")
        self.conn.wait(lambda: bytes(stream.data) == b"tcp", "the echo")


if __name__ == "__main__":
    main()
