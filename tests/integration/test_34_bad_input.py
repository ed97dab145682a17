# SPDX-License-Identifier: Apache-2.0
"""Garbage at every interface: a clear end for who sent it, and nothing for anybody else."""

import os
import random
import socket
import struct

from peers import agent as stock
from peers import edge as scripted
from peers import rpc
from peers.capnp import Struct
from support import adit, origin
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.h2frames import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, PREFACE, PUSH, SETTINGS,
                              WINDOW, frame)
from support.require import need
from support.stack import HOST, Stack, echo_line, serve
from support.tlsca import Authority, client_context
from support.waiting import wait_until

# What breaks RFC 9113, whoever receives it. Each ends the connection.
BROKEN_FRAMES = {
    "noise": bytes(random.Random(5).randbytes(4000)),
    "frame of 16 MiB": frame(DATA, 0, 1)[:0] + b"\xff\xff\xff" + bytes(6) + bytes(100),
    "SETTINGS of 5 bytes": frame(SETTINGS, 0, 0, bytes(5)),
    "window of 2^31": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)),
    "SETTINGS on a stream": frame(SETTINGS, 0, 1),
    "PING of 3 bytes": frame(PING, 0, 0, bytes(3)),
    "window update of zero": frame(WINDOW, 0, 0, bytes(4)),
    "window overflow": frame(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 1)) * 2,
    "CONTINUATION of nothing": frame(CONTINUATION, 4, 1, b"\x82"),
    "PUSH_PROMISE": frame(PUSH, 4, 1, struct.pack(">I", 2) + b"\x82"),
    "DATA on stream 0": frame(DATA, 0, 0, b"x"),
    "GOAWAY of 2 bytes": frame(GOAWAY, 0, 0, bytes(2)),
}
# Only who accepts streams gets these.
BROKEN_REQUESTS = {
    "broken HPACK": frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    "even stream": frame(HEADERS, 5, 2, b"\x82\x86\x84"),
    "HEADERS without end": frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8)),
    "endless CONTINUATION": frame(HEADERS, 0, 1, b"\x82") +
                            frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 3000) * 40,
}


class EdgeTest(Case):
    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port)
        self.edge = self.stack.edge
        self.held = self.stack.popen()
        echo_line(self.held, "before")

    def tearDown(self):
        echo_line(self.held, "after")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        super().tearDown()

    def dial(self):
        sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
        self.addCleanup(sock.close)
        return sock

    def dial_tls(self, alpn=None):
        tls = client_context(self.edge.ca_file, alpn).wrap_socket(
            self.dial(), server_hostname="h2.cftunnel.com")
        self.addCleanup(tls.close)
        return tls

    def assertDropped(self, sock, data):
        try:
            for at in range(0, len(data), 16384):
                sock.sendall(data[at:at + 16384])
            while sock.recv(65536):
                pass
        except TimeoutError:
            raise AssertionError("the edge did not close") from None
        except OSError:
            pass

    def test_no_tls(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", bytes(5000),
                     b"\x16\x03\x01\xff\xff" + bytes(70000)):
            self.assertDropped(self.dial(), data)

    def test_broken_http2_from_clients(self):
        for name, data in {**BROKEN_FRAMES, **BROKEN_REQUESTS}.items():
            with self.subTest(name):
                self.assertDropped(self.dial_tls(["h2"]), PREFACE + frame(SETTINGS) + data)
        self.assertDropped(self.dial_tls(["h2"]), b"GET / HTTP/1.1\r\n\r\n" + bytes(100))

    def test_broken_http2_from_agents(self):
        for name, data in BROKEN_FRAMES.items():
            with self.subTest(name):
                self.assertDropped(self.dial_tls(), frame(SETTINGS) + data)

    def scripted_agent(self):
        agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file,
                            stock.load_registration(self.stack.tunnel, 7), auto=False)
        self.addCleanup(agent.close)
        agent.start().wait(lambda: agent.control, "the control stream")
        return agent

    def test_broken_rpc(self):
        register = stock.load_registration(self.stack.tunnel).encode()
        call = rpc.call(1, rpc.REGISTER, register, pipelined_on=0)
        wild = bytearray(call)
        wild[8 + 6 * 8:8 + 7 * 8] = struct.pack("<II", 0x7FFFFFFC, 0x00FF00FF)
        # A Call whose body, target and parameters are the message itself.
        loop = struct.pack("<IIIIQII", 0, 3, 0, 0x00010001, rpc.CALL, 0xFFFFFFF4, 0x00010001)
        for name, data in (
                ("noise", bytes(random.Random(6).randbytes(500))),
                ("4 GiB message", struct.pack("<II", 0, 0x20000000)),
                ("4096 segments", struct.pack("<I", 4095) + bytes(4 * 4096)),
                ("empty segment", struct.pack("<II", 0, 0)),
                ("wild pointer", rpc.bootstrap() + bytes(wild)),
                ("loop of pointers", loop),
                ("unknown target", rpc.bootstrap() + rpc.call(1, 0, register, pipelined_on=9)),
                ("parameters missing", rpc.bootstrap() + rpc.call(1, 0, None, pipelined_on=0)),
                ("index and id missing", rpc.bootstrap() +
                 rpc.call(1, 0, Struct(0, 0), pipelined_on=0)),
                ("id used twice", rpc.bootstrap() + call + call)):
            with self.subTest(name):
                agent = self.scripted_agent()
                agent.tell(data)
                agent.wait(lambda: agent.peer_closed or agent.returns, "an answer")
                if name != "id used twice":
                    self.assertIsNone(agent.details)
                agent.close()

    def test_message_that_never_ends(self):
        agent = self.scripted_agent()
        agent.tell(struct.pack("<II", 0, 0x8000 - 1))
        agent.send(agent.control, bytes(0x8000 * 8 * 2))
        agent.wait(lambda: agent.peer_closed, "the edge to close")


class ControlSocketTest(Case):
    """Both daemons' control sockets; the same server."""

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port)

    def dial(self, path):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        # Without a time-out, for with one a full backlog is an error instead of a wait.
        sock.connect(path)
        sock.settimeout(60)
        return sock

    def exchange(self, path, data):
        with self.dial(path) as sock:
            answer = b""
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    answer += piece
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer

    def test_garbage(self):
        for path in (self.stack.agent.socket, self.stack.edge.socket):
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
            for data in (b"\n", b"hello\n", b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"v":1}\n',
                         b'{"v":99,"command":"status"}\n', b'{"v":1,"command":"no-such"}\n',
                         b'{"v":1,"command":7}\n', b'{"v":1,"command":"status","args":[]}\n',
                         b"[" * 5000 + b"\n"):
                with self.subTest(data[:40]):
                    answer = self.exchange(path, data)
                    self.assertTrue(answer == b"" or b'"ok":false' in answer.replace(b" ", b""),
                                    answer)
            self.exchange(path, b"x" * 200_000)
            self.exchange(path, b'{"v":1,"command":"' + b"x" * 100_000 + b'"}\n')
        self.assertEqual(self.stack.agent.state(), "Healthy")
        self.assertTrue(self.stack.edge.answers())

    def test_many_clients_and_silent_ones(self):
        path = self.stack.agent.socket
        silent = [self.dial(path) for _ in range(40)]
        # Those over the limit are turned away; the rest may stay and say nothing.
        for sock in silent[:10]:
            sock.close()
        wait_until(lambda: self.stack.agent.command("status", "--json").returncode == 0,
                   "room for a client")

    def test_client_that_does_not_read(self):
        path = self.stack.agent.socket
        with self.dial(path) as sock:
            sock.settimeout(0.5)
            request = b'{"v":1,"command":"status"}\n' * 1000
            try:
                for _ in range(200):
                    sock.sendall(request)
            except OSError:
                pass
            self.assertEqual(self.stack.agent.state(), "Healthy")


class AgentTest(Case):
    """A scripted edge goes mad on one connection after the other, but for the first; there are
    enough of them to break each once, as a second time would wait for the back-off."""

    def setUp(self):
        need("openssl")
        super().setUp()
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.success])
        self.addCleanup(self.edge.close)
        server = serve(self, origin.echo)
        self.agent = Agent(self, self.edge.address, authority.ca_file, write_credentials(self),
                           routes(route(f"{HOST}/32", via=f"127.0.0.1:{server.port}")),
                           settings="edge-server-name: h2.cftunnel.com\n"
                                    "ha-connections: 16\n").start()
        self.edge.wait_registered(16)
        self.rest = [c for i, c in sorted(self.edge.registered().items()) if i > 0]
        self.good = self.edge.registered()[0]
        self.stream = self.good.open_tcp(f"{HOST}:22")
        self.good.wait_answer(self.stream)

    def tearDown(self):
        self.good.send(self.stream, b"alive")
        self.good.wait(lambda: self.stream.data.endswith(b"alive"), "the echo")
        self.assertTrue(self.agent.process.running())
        super().tearDown()

    def break_each(self, cases):
        for name, data in cases.items():
            with self.subTest(name):
                conn = self.rest.pop()
                conn.send_raw(data)
                conn.wait(lambda: conn.closed, "the agent to close")

    def test_broken_frames(self):
        self.break_each(BROKEN_FRAMES)

    def test_broken_requests(self):
        # Stream 1 is the control stream: take a number that is new to the agent.
        self.break_each({name: data.replace(b"\0\0\0\1", b"\0\0\1\1")
                         for name, data in BROKEN_REQUESTS.items()})

    def test_broken_rpc(self):
        for data in (bytes(random.Random(7).randbytes(300)), struct.pack("<II", 0, 0x20000000),
                     struct.pack("<I", 4095) + bytes(4 * 4096), rpc.abort("boo")):
            conn = self.rest.pop()
            conn.reply(data)
            conn.wait(lambda: conn.closed, "the agent to close")

    def test_odd_messages_are_survived(self):
        conn = self.rest.pop()
        conn.reply(rpc.finish(77))
        conn.reply(rpc._message(rpc.RELEASE, Struct(1, 0).put("I", 0, 9).put("I", 4, 1)))
        conn.reply(rpc.bootstrap(5))
        conn.wait(lambda: any(m.kind == rpc.RETURN and m.id == 5 for m in conn.messages),
                  "the answer to our bootstrap: an exception")
        self.assertFalse(conn.closed)

    def test_odd_requests_get_an_answer(self):
        conn = self.rest.pop()
        for headers in ([(":method", "GET"), (":path", "/"), (":scheme", "https")],
                        [(":method", "GET"), (":path", "/"), (":scheme", "https"),
                         (":authority", "x" * 20000), ("cf-cloudflared-proxy-src", "1")],
                        [(":method", "GET"), (":path", "/"), (":scheme", "https"),
                         (":authority", f"{HOST}:22"), ("cf-cloudflared-proxy-src", "1"),
                         ("a", "b" * 100_000)]):
            stream = conn.open(headers)
            conn.wait(lambda s=stream: s.closed or conn.closed, "the end of the stream")
            self.assertNotEqual(stream.headers.get(":status"), "200")


class FilesTest(Case):
    def test_broken_configs_say_where_and_what(self):
        for text, words in (
                ("edge: [\n", ["c.yml:2"]), ("\0\0\0", []), ("- a\n- b\n", []),
                ("edge: x:1\nha-connections: many\n", ["2", "ha-connections"]),
                ("edge: x:1\nroutes:\n  - netwrok: 10.0.0.0/8\n", ["3", "netwrok", "network"]),
                ("edge: &a x:1\ntunnel: *a\n", ["1"]), ("edge: x:1\n" * 2, ["2", "edge"]),
                ("tunnel: x\n", ["edge"]), ("a: {" * 200, [])):
            with self.subTest(text[:30]):
                path = self.write("c.yml", text)
                for argv in (["config", "check", path], ["run", "--config", path]):
                    done = adit.run([adit.binary("adit"), *argv])
                    self.assertEqual(done.returncode, 78, done.stderr)
                    self.assertIn(path, done.stderr)
                    for word in words:
                        self.assertIn(word, done.stderr)
        path = self.write("e.yml", "listen: nowhere\nlocation: 7777777777\nlimts: {}\n")
        done = adit.run([adit.binary("adit-edge"), "run", "--config", path])
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"{path}:1: listen", done.stderr)
        self.assertIn(f"{path}:3: limts", done.stderr)


if __name__ == "__main__":
    main()
