# SPDX-License-Identifier: Apache-2.0
"""`adit proxy`: SOCKS5 and HTTP CONNECT, raw clients against a scripted edge."""

import hashlib
import json
import resource
import signal
import socket
import subprocess

from peers.ingress import OK, Ingress, digest, echo, refuse
from peers.proxy_client import BIND, NO_AUTH, PASSWORD, UDP, Wire, basic, login, request
from support import adit
from support.case import Case, main
from support.nameserver import NameServer
from support.origin import pattern
from support.process import free_port
from support.require import need
from support.shaper import Shaper
from support.stack import HOST
from support.tlsca import Authority
from support.waiting import wait_until

TOKEN = "adit_0123456789abcdef." + "5" * 64
MIB = 1 << 20
# adit-error: (status of the edge, SOCKS reply, HTTP status)
REFUSALS = {
    "no-route": ("404", 3, 502),
    "no-network": ("404", 2, 403),
    "not-granted": ("403", 2, 403),
    "connector-down": ("503", 3, 503),
    "refused": ("502", 5, 502),
    "timeout": ("504", 6, 504),
    "unreachable": ("502", 4, 502),
    "forbidden": ("403", 2, 403),
    "limit": ("503", 1, 503),
    "unauthenticated": ("407", 1, 502),
    "internal": ("502", 1, 502),
}


class ProxyCase(Case):
    """A proxy in front of a scripted edge."""

    def setUp(self):
        super().setUp()
        need("h2", "openssl")
        self.authority = Authority(self.path("ca"))

    def ingress(self, answer=echo, **more):
        self.edge = Ingress(self.authority, answer, **more)
        self.addCleanup(self.edge.close)
        return self.edge

    def credentials(self, *edges):
        with open(self.authority.ca_file, encoding="ascii") as f:
            return self.write("client.json", json.dumps({
                "version": 1, "name": "eve", "edges": edges, "ca": f.read(), "token": TOKEN}))

    def proxy(self, *argv, edges=None, answer=echo):
        """Starts both, unless there are @edges."""
        self.port = free_port()
        path = self.credentials(*(edges or [self.ingress(answer).address]))
        self.process = self.start("proxy", [
            adit.binary("adit"), "proxy", "--credentials", path,
            "--listen", f"127.0.0.1:{self.port}", *argv])
        self.process.wait_log("listening")
        return self.process

    def wire(self, **more):
        return Wire(self, self.port, **more)


class Vanished(ProxyCase):
    def test_a_client_that_vanishes_is_looked_for(self):
        self.proxy()
        with socket.create_connection(("127.0.0.1", self.port)):
            wait_until(lambda: "timer:(keepalive" in subprocess.run(
                ("ss", "-Htno", "state", "established", f"sport = :{self.port}"),
                stdout=subprocess.PIPE, check=True, encoding="ascii").stdout, "keep-alive probes")


class Socks(ProxyCase):
    def test_echo_and_request(self):
        self.proxy()
        wire = self.wire().connect()
        wire.send(b"hello").expect(b"hello")
        wire.end()
        self.assertEqual(wire.rest(), b"")
        self.assertEqual([tuple(h) for h in self.edge.raw_requests[0]], [
            (":method", "CONNECT"), (":authority", f"{HOST}:22"),
            ("proxy-authorization", f"Bearer {TOKEN}")])
        self.assertNotIn(TOKEN[5:], self.process.log())

    def test_user_name_picks_the_network(self):
        self.proxy("--virtual-network", "home")
        for user, network in (("lab", "lab"), ("", "home"), (None, "home")):
            with self.subTest(user=user):
                self.wire().connect(user=user).send(b"x").expect(b"x")
                self.assertEqual(self.edge.requests[-1]["adit-virtual-network"], network)

    def test_all_at_once(self):
        """Nobody waits for an answer; nothing behind the request is lost."""
        data = pattern(MIB)
        self.proxy()
        wire = self.wire()
        self.thread(wire.send, bytes([5, 2, NO_AUTH, PASSWORD]) + login("lab") + request() + data)
        wire.expect(bytes([5, PASSWORD, 1, 0]))
        self.assertEqual(wire.reply()[0], 0)
        wire.expect(data)

    def test_byte_by_byte(self):
        self.proxy()
        wire = self.wire()
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in bytes([5, 1, NO_AUTH]) + request("2001:db8::3", 443) + b"early":
            wire.send(bytes([byte]))
        wire.expect(bytes([5, NO_AUTH]))
        self.assertEqual(wire.reply()[0], 0)
        wire.expect(b"early")
        self.assertEqual(self.edge.requests[0][":authority"], "[2001:db8::3]:443")

    def test_names(self):
        names = NameServer({"web.test": ["10.0.0.1", "10.0.0.2"]})
        self.addCleanup(names.close)

        def second_only(conn, stream):
            if stream.headers[":authority"] == "10.0.0.2:80":
                echo(conn, stream)
            else:
                refuse("404", "no-route")(conn, stream)
        self.proxy("--resolver", names.address, answer=second_only)
        self.wire().connect("web.test", 80).send(b"x").expect(b"x")
        wire = self.wire().greet().send(request("nowhere.test"))
        self.assertEqual(wire.reply()[0], 4)
        self.process.wait_log("nowhere.test: no such name")

    def test_refusals(self):
        self.proxy(answer=lambda conn, stream: self.answer(conn, stream))
        for error, (status, code, _) in REFUSALS.items():
            with self.subTest(error=error):
                self.answer = refuse(status, error)
                # What comes with the request must not tear the answer down.
                wire = self.wire().greet().send(request() + pattern(100_000))
                self.assertEqual(wire.reply(), (code, "0.0.0.0", 0))
                wire.end()
                self.assertEqual(wire.rest(), b"")

    def test_bad_input(self):
        self.proxy()
        for data, answer in (
                (b"\4\1\0\26\n\1\2\3\0", b""),
                (b"\5\1\1", b"\5\xff"),
                (b"\5\0", b"\5\xff"),
                (b"\5\1\2\1\3a b\0", b"\5\2\1\1"),
                (b"\5\1\0" + request(command=BIND), b"\5\0\5\7\0\1" + bytes(6)),
                (b"\5\1\0" + request(command=9), b"\5\0\5\7\0\1" + bytes(6)),
                (b"\5\1\0" + request(port=0), b"\5\0\5\1\0\1" + bytes(6)),
                (b"\5\1\0\5\1\0\2", b"\5\0\5\10\0\1" + bytes(6)),
                (b"\5\1\0\5\1\0\3\0\0\26", b"\5\0\5\1\0\1" + bytes(6))):
            with self.subTest(data=data):
                self.assertEqual(self.wire().send(data).rest(), answer)
        # It lives.
        self.wire().connect().send(b"x").expect(b"x")
        self.assertEqual(len(self.edge.requests), 1)

    def test_half_close(self):
        data = pattern(5 * MIB)
        self.proxy(answer=digest)
        wire = self.wire().connect().send(data)
        wire.end()
        self.assertEqual(wire.rest().decode(), hashlib.sha256(data).hexdigest())

    def test_end_with_the_request(self):
        """The client has sent all it ever will before it is answered."""
        self.proxy()
        wire = self.wire().send(b"\5\1\0" + request() + b"data")
        wire.end()
        wire.expect(b"\5\0")
        self.assertEqual(wire.reply()[0], 0)
        self.assertEqual(wire.rest(), b"data")

    def test_far_end_first(self):
        data = pattern(5 * MIB)

        def send_then_listen(conn, stream):
            conn.respond(stream, OK)
            conn.send(stream, data, end=True)
        self.proxy(answer=send_then_listen)
        wire = self.wire().connect()
        self.assertEqual(wire.rest(), data)
        wire.send(b"late words")
        wire.end()
        conn = self.edge.connections[0]
        stream = next(iter(conn.streams.values()))
        conn.wait(lambda: stream.ended, "the client's end at the edge")
        self.assertEqual(bytes(stream.data), b"late words")

    def test_silence_is_not_waited_for(self):
        self.proxy()
        wire = self.wire().send(b"\5\1")
        self.assertEqual(wire.rest(), b"")
        self.process.wait_log("no request came in time")

    def test_clients_that_leave(self):
        self.proxy(answer=lambda conn, stream: None)
        for data in (b"", b"\5", b"\5\1\0", b"\5\1\0" + request()):
            self.wire().send(data).sock.close()
        self.edge.answer = echo
        self.wire().connect().send(b"x").expect(b"x")


class Http(ProxyCase):
    def test_echo_and_request(self):
        self.proxy()
        wire = self.wire().http_connect("web.test:1", basic("lab"))
        self.assertEqual(wire.refusal()[0], 502)
        wire = self.wire().http_connect("[2001:db8::3]:443", basic("lab"))
        self.assertEqual(wire.head(), (200, {}))
        wire.send(b"hello").expect(b"hello")
        wire.end()
        self.assertEqual(wire.rest(), b"")
        self.assertEqual(self.edge.requests[0][":authority"], "[2001:db8::3]:443")
        self.assertEqual(self.edge.requests[0]["adit-virtual-network"], "lab")

    def test_all_at_once(self):
        data = pattern(MIB)
        self.proxy()
        wire = self.wire().http_connect()
        self.thread(wire.send, data)
        self.assertEqual(wire.head()[0], 200)
        wire.expect(data)

    def test_byte_by_byte(self):
        self.proxy()
        wire = self.wire()
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in f"CONNECT {HOST}:22 HTTP/1.1\r\nHost: x\r\n\r\nearly".encode():
            wire.send(bytes([byte]))
        self.assertEqual(wire.head()[0], 200)
        wire.expect(b"early")

    def test_refusals(self):
        self.proxy(answer=lambda conn, stream: self.answer(conn, stream))
        for error, (status, _, http) in REFUSALS.items():
            with self.subTest(error=error):
                self.answer = refuse(status, error)
                got, headers, text = self.wire().http_connect().refusal()
                self.assertEqual(got, http)
                self.assertIn(f"{HOST}:22", text)
                self.assertNotIn("proxy-authenticate", headers)

    def test_other_methods(self):
        self.proxy()
        wire = self.wire().send(b"POST http://10.116.0.3/ HTTP/1.1\r\nHost: x\r\n\r\n" +
                                pattern(100_000))
        status, headers, text = wire.refusal()
        self.assertEqual((status, headers["allow"]), (405, "connect"))
        self.assertIn("proxy for CONNECT only", text)
        self.assertEqual(self.edge.requests, [])

    def test_bad_input(self):
        self.proxy()
        for data, want in ((b"\x16\3\1\2\0\1", 400), (b"hello\r\n", 400),
                           (b"CONNECT 10.116.0.3 HTTP/1.1\r\n\r\n", 400),
                           (b"CONNECT 10.116.0.3:22 HTTP/2.0\r\n\r\n", 505),
                           (b"CONNECT 10.116.0.3:22 HTTP/1.1\r\nA: " + b"a" * 5000, 431),
                           (b"CONNECT 10.116.0.3:22 HTTP/1.1\r\n" + b"a: b\r\n" * 4000, 431)):
            with self.subTest(data=data[:40]):
                self.assertEqual(self.wire().send(data).refusal()[0], want)
        status, headers, _ = self.wire().http_connect(
            f"{HOST}:22", "Proxy-Authorization: Bearer x").refusal()
        self.assertEqual(status, 407)
        self.assertIn("basic", headers["proxy-authenticate"])
        self.assertEqual(self.edge.requests, [])


class Link(ProxyCase):
    def test_one_link_for_all(self):
        v6 = free_port()
        self.proxy("--listen", f"[::1]:{v6}")
        wires = [self.wire().connect() for _ in range(10)]
        wires += [Wire(self, v6, "::1").connect() for _ in range(5)]
        for _ in range(5):
            wire = self.wire().http_connect()
            self.assertEqual(wire.head()[0], 200)
            wires.append(wire)
        for i, wire in enumerate(wires):
            wire.send(b"%d" % i).expect(b"%d" % i)
        self.assertEqual(len(self.edge.connections), 1)
        self.process.signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(), 128 + signal.SIGTERM)
        for wire in wires:
            wire.expect_closed()

    def test_no_edge(self):
        self.proxy(edges=[f"127.0.0.1:{free_port()}"])
        wire = self.wire().greet().send(request())
        self.assertEqual(wire.reply()[0], 1)
        status, _, text = self.wire().http_connect().refusal()
        self.assertEqual(status, 502)
        self.assertIn("refused", text)
        self.process.signal(signal.SIGINT)
        self.assertEqual(self.process.wait(), 128 + signal.SIGINT)

    def test_waits_for_the_link(self):
        """Requests that come before the link is up are answered when it is."""
        shaper = Shaper(("127.0.0.1", self.ingress().port))
        self.addCleanup(shaper.close)
        shaper.up.bytes_per_s = 1
        self.proxy(edges=[f"127.0.0.1:{shaper.port}"])
        left = self.wire().send(b"\5\1\0" + request())
        wire = self.wire().greet().send(request() + b"early")
        http = self.wire().http_connect()
        left.sock.close()
        self.assertNotIn("edge connected", self.process.log())
        shaper.up.bytes_per_s = 0
        self.assertEqual(wire.reply()[0], 0)
        wire.expect(b"early")
        self.assertEqual(http.head()[0], 200)
        self.assertEqual(len(self.edge.connections), 1)

    def test_link_lost(self):
        self.proxy()
        wire = self.wire().connect().send(b"before").expect(b"before")
        self.edge.connections[0].close()
        wire.expect_closed()
        self.process.wait_log("edge not connected")
        self.wire().connect().send(b"after").expect(b"after")

    def test_goaway(self):
        self.proxy()
        old = self.wire().connect().send(b"old").expect(b"old")
        self.edge.connections[0].send_goaway()
        self.process.wait_log("edge goes away")
        self.wire().connect().send(b"new").expect(b"new")
        old.send(b"still").expect(b"still")
        self.assertEqual(len(self.edge.connections), 2)
        old.end()
        self.assertEqual(old.rest(), b"")
        self.edge.connections[0].wait(lambda: self.edge.connections[0].closed, "its end")


class Limits(ProxyCase):
    def test_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 4096:
            self.skipTest("needs 4096 descriptors")
        # The proxy inherits it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.proxy()
        # Associations last without a stream of the edge.
        for _ in range(1024):
            self.assertEqual(self.wire().greet().send(request(command=UDP)).reply()[0], 0)
        self.wire().expect_closed()
        self.process.wait_log("too many connections")

    def test_out_of_descriptors(self):
        self.port = free_port()
        path = self.credentials(self.ingress().address)
        argv = [adit.binary("adit"), "proxy", "--credentials", path, "--listen",
                f"127.0.0.1:{self.port}"]
        self.process = self.start("proxy", ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *argv])
        self.process.wait_log("listening")
        self.wire().connect().send(b"x").expect(b"x")
        wires = [self.wire() for _ in range(40)]
        self.process.wait_log("accept failed")
        for wire in wires:
            wire.sock.close()
        self.wire().connect().send(b"x").expect(b"x")


class Usage(ProxyCase):
    def run_proxy(self, *argv):
        done = adit.run([adit.binary("adit"), "proxy", *argv])
        return done.returncode, done.stderr

    def test_command_line(self):
        path = self.credentials("127.0.0.1:1")
        many = [f"--listen=127.0.0.1:{port}" for port in range(1, 10)]
        for argv, words in ((["--listen", "0.0.0.0:1080"], "--allow-remote"),
                            (["--listen", "[::]:1080"], "--allow-remote"),
                            (["--listen", "1080"], "ADDRESS:PORT"),
                            (["--listen", "localhost:1080"], "ADDRESS:PORT"),
                            (many, "at most 8 --listen"),
                            (["--virtual-network", "a b"], "--virtual-network"),
                            (["--edge", "x"], "--edge x"),
                            (["word"], "one argument too many")):
            with self.subTest(argv=argv):
                code, err = self.run_proxy("--credentials", path, *argv)
                self.assertEqual(code, 64, err)
                self.assertIn(words, err)

    def test_failures(self):
        code, err = self.run_proxy("--credentials", self.path("absent"))
        self.assertEqual(code, 78)
        self.assertTrue(err.startswith("adit proxy: "), err)
        with socket.create_server(("127.0.0.1", 0)) as other:
            at = f"127.0.0.1:{other.getsockname()[1]}"
            code, err = self.run_proxy("--credentials", self.credentials("127.0.0.1:1"),
                                       "--listen", f"127.0.0.1:{free_port()}", "--listen", at)
        self.assertEqual(code, 1, err)
        self.assertIn(f"adit proxy: can't listen on {at}", err)


if __name__ == "__main__":
    main()
