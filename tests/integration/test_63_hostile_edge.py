# SPDX-License-Identifier: Apache-2.0
"""An edge that has gone over: it may use what the agent advertises and nothing else, whatever it
sends, and another edge connection is served as before."""

import json
import os

from peers import edge as scripted
from peers import rpc
from peers.capnp import Struct
from support import origin
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.h2frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING,
                              PRIORITY, RST, WINDOW, fields, frame, kinds)
from support.memory import rss
from support.require import need
from support.stack import HOST, serve
from support.tlsca import Authority
from support.waiting import wait_until

FLOWS_MAX = 50
SILENT = "10.116.0.9"


def spellings(port):
    """What leads to loopback, link-local, multicast or nowhere in some reader's eyes."""
    hosts = ["127.0.0.1", "127.1", "127.8.8.8", "0.0.0.0", "0", "169.254.169.254", "224.0.0.1",
             "255.255.255.255", "240.0.0.1", "2130706433", "0x7f000001",
             "0177.0.0.1", "127.0.0.1.", "localhost", "localhost.", "metadata.google.internal",
             "010.116.0.3", f"{HOST}.", "[::]", "[::1]", "[::ffff:127.0.0.1]",
             "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
             "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::]",
             "[fe80::1]", "[fe80::1%lo]", "[::1%lo]", "[ff02::1]", "[::ffff:169.254.169.254]",
             f"[64:ff9b::{HOST}]", "[2002:a74:3::]", "::1", "", "[]", "[", "*"]
    whole = [f"{HOST}:0", f"{HOST}:65536", f"{HOST}:-1", f"{HOST}:+{port}", f"{HOST}:0{port}",
             f"{HOST}:{port} ", f" {HOST}:{port}", f"{HOST}:{port}:{port}", HOST, f"{HOST}:",
             f"{HOST}:0x16", f"{HOST}:{port + 65536}", f"user@{HOST}:{port}", f"{HOST}:{port}/",
             f"http://{HOST}:{port}", f"{HOST}\t:{port}", f"{HOST},127.0.0.1:{port}", ":" * 3000]
    return [f"{host}:{port}" for host in hosts] + whole


class HostileEdge(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.remotely_managed])
        self.addCleanup(self.edge.close)
        self.server = serve(self, origin.echo)
        self.agent = Agent(self, self.edge.address, authority.ca_file, write_credentials(self),
                           routes(route(f"{HOST}/32", via=f"127.0.0.1:{self.server.port}"),
                                  route(f"{SILENT}/32", via=f"127.0.0.1:{origin.silent_port(self)}"),
                                  route("0.0.0.0/1"), route("::/32")),
                           settings="edge-server-name: h2.cftunnel.com\nha-connections: 8\n"
                                    f"max-active-flows: {FLOWS_MAX}\n").start()
        self.edge.wait_registered(8)
        self.good, self.bad = (self.edge.registered()[i] for i in (0, 1))
        self.held = self.good.open_tcp(f"{HOST}:22")
        self.assertEqual(self.good.wait_answer(self.held)[":status"], "200")
        self.memory = rss(self.agent.process)

    def tearDown(self):
        self.held.data.clear()
        self.good.send(self.held, b"alive")
        self.good.wait(lambda: self.held.data == b"alive", "the echo")
        stream = self.good.open_tcp(f"{HOST}:22")
        self.assertEqual(self.good.wait_answer(stream)[":status"], "200")
        self.assertTrue(self.agent.process.running())
        # Not what a sanitizer keeps of freed memory; without one a few MB would do.
        self.assertLess(rss(self.agent.process) - self.memory, 256 << 20)
        super().tearDown()

    def test_no_spelling_leads_elsewhere(self):
        """Routes as wide as 0.0.0.0/1 and ::/32 don't cover what is forbidden, either."""
        for authority in spellings(self.server.port):
            with self.subTest(authority[:60]):
                stream = self.bad.open_tcp(authority)
                self.bad.wait_end(stream)
                # What isn't even an authority is a protocol error of its stream.
                self.assertIn((stream.headers.get(":status"), stream.reset),
                              (("502", None), ("502", 0), (None, 1)))
        self.assertFalse(self.bad.closed)

    def test_bytes_that_are_no_authority(self):
        for value in (b"127.0.0.1\0.example:22", HOST.encode() + b"\0:22", HOST.encode() + b":22\0",
                      b"\xff\xfe:22", HOST.encode() + b":22\r\nx: y", b"\x1b[31m:22"):
            with self.subTest(value):
                number = self.bad.h2.get_next_available_stream_id()
                stream = self.bad.open([(":authority", value), (":method", "GET"), (":path", "/"),
                                        (":scheme", "https"),
                                        ("cf-cloudflared-proxy-src", "100.96.0.1")])
                self.assertEqual(stream.id, number)
                self.bad.wait(lambda s=stream: s.closed or self.bad.closed, "the end")
                self.assertNotEqual(stream.headers.get(":status"), "200")
        self.assertFalse(set("\r\0\x1b") & set(self.agent.process.log()))

    def test_flood_of_dials(self):
        """To a port that never answers: so many as flows may be, and the rest is refused."""
        flood = [self.bad.open_tcp(f"{SILENT}:22") for _ in range(1000)]
        self.bad.wait(lambda: sum("headers" in s.log for s in flood) >= 1000 - FLOWS_MAX or
                      self.bad.closed, "the refusals")
        self.assertFalse(self.bad.closed)
        for stream in flood:
            self.assertIn(stream.headers.get(":status"), (None, "502", "503", "429"))
        dialling = [s for s in flood if not s.closed]
        self.assertIn(len(dialling), range(1, FLOWS_MAX + 1))
        for stream in dialling:
            self.bad.reset(stream)

        def opens():
            stream = self.good.open_tcp(f"{HOST}:22")
            return self.good.wait_answer(stream)[":status"] == "200"
        wait_until(opens, "the flows to be free again")

    def test_floods(self):
        """An edge may do more than a stranger, but not without end: each ends its connection."""
        rest = [c for i, c in sorted(self.edge.registered().items()) if i > 1]
        get = fields((":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "x"))
        numbers = range(100_001, 180_001, 2)
        for name, data in (
                ("PING", frame(PING, 0, 0, bytes(8)) * 90_000),
                ("WINDOW_UPDATE", frame(WINDOW, 0, 0, b"\0\0\0\1") * 90_000),
                ("PRIORITY", frame(PRIORITY, 0, 1, b"\0\0\0\0\1") * 90_000),
                ("empty DATA", None),
                ("requests and resets", b"".join(
                    frame(HEADERS, END_HEADERS, n, get) + frame(RST, 0, n, bytes(4))
                    for n in numbers)),
                ("resets that we are made to send", b"".join(
                    frame(HEADERS, END_HEADERS | END_STREAM, n, get) +
                    frame(WINDOW, 0, n, b"\x7f\xff\xff\xff") for n in numbers))):
            with self.subTest(name):
                conn = rest.pop()
                if data is None:
                    stream = conn.open_tcp(f"{HOST}:22")
                    conn.wait_answer(stream)
                    data = frame(DATA, 0, stream.id) * 90_000
                heard = self.only_listen(conn)
                conn.send_raw(data)
                conn.wait(lambda c=conn: c.closed, "the agent to close")
                self.assertIn(GOAWAY, kinds(heard))

    @staticmethod
    def only_listen(conn):
        """From now on what comes is kept: the library would stumble over streams by hand."""
        heard = bytearray()

        def receive(data):
            heard.extend(data)
            return []
        with conn.lock:
            conn.h2.receive_data = receive
        return heard

    def test_headers_without_end(self):
        start = frame(HEADERS, 0, 0x7FFF_FF01, fields((":method", "GET"), (":path", "/")))
        more = frame(CONTINUATION, 0, 0x7FFF_FF01, fields(("a" * 100, "b" * 8000)))
        self.bad.send_raw(start + more * 2000)
        self.bad.wait(lambda: self.bad.closed, "the agent to close")

    def test_header_bombs(self):
        """One field of 4 KB in HPACK's table, named a thousand times per request."""
        field = b"\x40" + fields(("x", "y" * 3900))[1:]
        for n in range(40):
            block = fields((":method", "GET"), (":path", "/"), (":scheme", "https")) + field
            self.bad.send_raw(frame(HEADERS, END_HEADERS | 1, 100_001 + 2 * n,
                                    block + b"\xbe" * 10_000))
        stream = self.good.open_tcp(f"{HOST}:22")
        self.assertEqual(self.good.wait_answer(stream)[":status"], "200")

    def test_config_bombs(self):
        deep = b'{"version":1,"config":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        wide = json.dumps({"version": 1, "config": {f"k{i}": i for i in range(9000)}}).encode()
        for body in (deep, b'{"a":' * 50_000, b"[" * 200_000, b"\xff" * 1000, b"", b"\0", b"7",
                     b'"' + b"x" * 250_000 + b'"', b"9" * 250_000, b'{"version":1e999}',
                     b'{"version":' + b"9" * 400 + b"}", bytes(300_000), b" " * 3_000_000, wide):
            with self.subTest(body[:30]):
                status, _, answer = self.bad.push_config(body)
                if status == "200":
                    self.assertIn(b'"err":', answer)
                if self.bad.closed:
                    self.fail("a bomb ended the connection")
        for warp in ({"maxActiveFlows": 10**18}, {"maxActiveFlows": -1}, {"connectTimeout": -5},
                     {"connectTimeout": 10**30}, {"tcpKeepAlive": "x" * 10_000},
                     {"networks": ["127.0.0.0/8"], "ingress": [{"service": "tcp://127.0.0.1"}]}):
            self.bad.push_config({"version": 2, "config": {"warp-routing": warp}})
        stream = self.bad.open_tcp(f"127.0.0.1:{self.server.port}")
        self.assertEqual(self.bad.wait_answer(stream)[":status"], "502")

    def test_rpc_garbage_after_registration(self):
        for message in (rpc.finish(1), rpc.exception(77, "what?"), rpc.bootstrap(9),
                        rpc.call(10, 7, Struct(0, 0)), rpc.call(11, 0, Struct(0, 0), interface=5),
                        rpc.results(1, Struct(0, 0))):
            self.bad.reply(message)
        for n in range(20, 400):
            if self.bad.closed:
                break
            self.bad.reply(rpc.bootstrap(n))
        if not self.bad.closed:
            self.bad.reply(os.urandom(4000))
        self.bad.wait(lambda: self.bad.closed, "the agent to close")


if __name__ == "__main__":
    main()
