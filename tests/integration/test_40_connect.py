# SPDX-License-Identifier: Apache-2.0
"""`adit connect` against a scripted edge: both directions and their ends, every refusal with
its exit status and its line, terminals left as they were, --listen with a lost link."""

import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import socket
import subprocess

from peers.ingress import OK, Ingress, digest, echo, refuse
from support.case import Case, main
from support.nameserver import NameServer
from support.origin import pattern
from support.process import free_port
from support.require import need
from support.shaper import Shaper
from support.tlsca import Authority
from support.waiting import DEADLINE_S, wait_until

ADIT = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd", "adit")
TOKEN = "adit_0123456789abcdef." + "5" * 64
MIB = 1 << 20

# adit-error: (status, exit status, part of the line)
REFUSALS = {
    "no-route": ("404", 10, "no route"),
    "no-network": ("404", 11, "no such virtual network"),
    "not-granted": ("403", 12, "may not reach"),
    "connector-down": ("503", 13, "not connected"),
    "draining": ("503", 13, "shutting down"),
    "refused": ("502", 14, "refused"),
    "timeout": ("504", 15, "in time"),
    "unreachable": ("502", 16, "can't reach"),
    "forbidden": ("403", 17, "does not serve"),
    "limit": ("503", 18, "limit"),
    "unauthenticated": ("407", 19, "token"),
    "internal": ("502", 24, "internal"),
    "a-word-of-tomorrow": ("502", 24, "internal"),
}


class ConnectCase(Case):
    def setUp(self):
        super().setUp()
        need("h2", "openssl")
        self.authority = Authority(self.path("ca"))

    def ingress(self, answer, **more):
        ingress = Ingress(self.authority, answer, **more)
        self.addCleanup(ingress.close)
        return ingress

    def credentials(self, edges, authority=None, mode=0o600, **more):
        with open((authority or self.authority).ca_file, encoding="ascii") as f:
            document = {"version": 1, "name": "eve", "email": "eve@example.com", "edges": edges,
                        "ca": f.read(), "token": TOKEN, **more}
        return self.write("client.json", json.dumps(document), mode)

    def popen(self, *argv, **more):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **more}
        process = subprocess.Popen([ADIT, "connect", *argv], **options)
        self.addCleanup(self.reap, process)
        return process

    def reap(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def connect(self, edge, *argv, data=b"", target=("10.116.0.3", "22"), **more):
        """Runs it to its end; returns (exit status, stdout, stderr text)."""
        path = self.credentials([edge] if isinstance(edge, str) else edge, **more)
        done = subprocess.run([ADIT, "connect", "--credentials", path, *argv, *target],
                              input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=DEADLINE_S)
        text = done.stderr.decode(errors="replace")
        self.assertNotIn("Sanitizer", text)
        self.assertNotIn(TOKEN[5:], text)
        return done.returncode, done.stdout, text

    def assert_line(self, text, part):
        self.assertTrue(text.startswith("adit connect: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        self.assertIn(part, text)


class Bytes(ConnectCase):
    def test_echo_and_request(self):
        ingress = self.ingress(echo)
        code, out, err = self.connect(ingress.address, "--virtual-network", "lab", data=b"hello")
        self.assertEqual((code, out, err), (0, b"hello", ""))
        raw = ingress.raw_requests[0]
        self.assertEqual([tuple(h) for h in raw], [
            (":method", "CONNECT"), (":authority", "10.116.0.3:22"),
            ("proxy-authorization", f"Bearer {TOKEN}"), ("adit-virtual-network", "lab")])
        self.assertEqual(type(raw[2]).__name__, "NeverIndexedHeaderTuple")

    def test_ipv6_target(self):
        ingress = self.ingress(echo)
        self.assertEqual(self.connect(ingress.address, target=("2001:db8::3", "22"))[0], 0)
        self.assertEqual(ingress.requests[0][":authority"], "[2001:db8::3]:22")
        self.assertNotIn("adit-virtual-network", ingress.requests[0])

    def test_answer_after_eof(self):
        data = pattern(20 * MIB)
        code, out, _ = self.connect(self.ingress(digest).address, data=data)
        self.assertEqual((code, out.decode()), (0, hashlib.sha256(data).hexdigest()))

    def test_far_end_first(self):
        data = pattern(20 * MIB)

        def send_then_listen(conn, stream):
            conn.respond(stream, OK)
            conn.send(stream, data, end=True)
        ingress = self.ingress(send_then_listen)
        path = self.credentials([ingress.address])
        process = self.popen("--credentials", path, "10.116.0.3", "22")
        self.assertEqual(hashlib.sha256(process.stdout.read()).digest(),
                         hashlib.sha256(data).digest())
        # Its end was seen on stdout although stdin is open and still goes through.
        self.assertIsNone(process.poll())
        process.stdin.write(b"late words")
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE_S), 0)
        conn = ingress.connections[0]
        stream = next(iter(conn.streams.values()))
        conn.wait(lambda: stream.ended, "the end of stdin at the edge")
        self.assertEqual(bytes(stream.data), b"late words")

    def test_files(self):
        data = pattern(3 * MIB)
        path = self.credentials([self.ingress(echo).address])
        with open(self.write("in", data), "rb") as source, open(self.path("out"), "wb") as sink:
            done = subprocess.run([ADIT, "connect", "--credentials", path, "10.1.2.3", "22"],
                                  stdin=source, stdout=sink, stderr=subprocess.PIPE,
                                  timeout=DEADLINE_S)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        with open(self.path("out"), "rb") as f:
            self.assertEqual(f.read(), data)

    def test_one_socket_for_both(self):
        """As ssh gives it, and inetd."""
        path = self.credentials([self.ingress(echo).address])
        ours, theirs = socket.socketpair()
        process = self.popen("--credentials", path, "10.1.2.3", "22", stdin=theirs, stdout=theirs)
        theirs.close()
        with ours, ours.makefile("rb") as reader:
            ours.sendall(b"through one socket")
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(reader.read(), b"through one socket")
        self.assertEqual(process.wait(DEADLINE_S), 0)

    def test_reader_gone(self):
        def flood(conn, stream):
            conn.respond(stream, OK)
            conn.send(stream, pattern(8 * MIB))
        process = self.popen("--credentials", self.credentials([self.ingress(flood).address]),
                             "10.1.2.3", "22")
        process.stdout.read(1000)
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE_S), 23)
        self.assert_line(process.stderr.read().decode(), "the local side was closed")


class Refusals(ConnectCase):
    def test_each(self):
        for error, (status, code, part) in REFUSALS.items():
            with self.subTest(error=error):
                ingress = self.ingress(refuse(status, error))
                got, out, err = self.connect(ingress.address, data=b"unread")
                self.assertEqual((got, out), (code, b""), err)
                self.assert_line(err, part)
                self.assertIn("10.116.0.3:22", err)

    def test_without_reason(self):
        for status, code in (("403", 12), ("404", 10), ("407", 19), ("418", 24), ("500", 24),
                             ("503", 13), ("504", 15)):
            with self.subTest(status=status):
                got, _, err = self.connect(self.ingress(refuse(status)).address)
                self.assertEqual(got, code)
                self.assert_line(err, f"the edge answered {status}")

    def test_reason_comes_before_the_end_of_stdout(self):
        """ssh hangs up on its ProxyCommand as soon as stdout ends."""
        path = self.credentials([self.ingress(refuse("404", "no-route")).address])
        process = self.popen("--credentials", path, "10.1.2.3", "22")
        self.assertEqual(process.stdout.read(), b"")
        os.set_blocking(process.stderr.fileno(), False)
        self.assertIn(b"no route", process.stderr.read() or b"")
        self.assertEqual(process.wait(DEADLINE_S), 10)

    def test_cut(self):
        def reset_early(conn, stream):
            conn.reset(stream)

        def close_early(conn, stream):
            conn.close()

        def reset_late(conn, stream):
            conn.respond(stream, OK)
            conn.send(stream, b"x")
            conn.reset(stream)

        def close_late(conn, stream):
            conn.respond(stream, OK)
            conn.send(stream, b"x")
            conn.close()
        for answer in (reset_early, close_early, reset_late, close_late):
            with self.subTest(answer=answer.__name__):
                path = self.credentials([self.ingress(answer).address])
                process = self.popen("--credentials", path, "10.1.2.3", "22")
                self.assertEqual(process.wait(DEADLINE_S), 23)
                self.assert_line(process.stderr.read().decode(), "")


class Edges(ConnectCase):
    def test_wrong_ca(self):
        other = Authority(self.path("other-ca"))
        code, _, err = self.connect(self.ingress(echo).address, authority=other)
        self.assertEqual(code, 20, err)
        self.assert_line(err, "an authority that isn't trusted here")

    def test_wrong_name(self):
        address = self.ingress(echo).address
        code, _, err = self.connect(address, server_name="other.example.com")
        self.assertEqual(code, 20, err)
        self.assert_line(err, "for other names")
        self.assertEqual(self.connect(address, server_name="localhost")[0], 0)

    def test_no_alpn(self):
        code, _, err = self.connect(self.ingress(echo, alpn=None).address)
        self.assertEqual(code, 21, err)
        self.assert_line(err, "edge 127.0.0.1:")

    def test_nobody_there(self):
        code, _, err = self.connect(f"127.0.0.1:{free_port()}")
        self.assertEqual(code, 21)
        self.assert_line(err, "refused")

    def test_second_edge(self):
        edges = [f"127.0.0.1:{free_port()}", self.ingress(echo).address]
        self.assertEqual(self.connect(edges, data=b"x")[:2], (0, b"x"))

    def test_a_silent_edge_is_not_waited_for(self):
        """The next one is dialled while the first is still asked, and whoever answers is taken."""
        silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for listener in silent:
            self.addCleanup(listener.close)
            listener.settimeout(DEADLINE_S)
        addresses = ["127.0.0.1:%d" % listener.getsockname()[1] for listener in silent]
        last = self.ingress(echo)
        path = self.credentials([*addresses, last.address])
        process = self.popen("--credentials", path, "10.116.0.3", "22")
        first, second = (listener.accept()[0] for listener in silent)
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        first.setblocking(False)
        self.assertTrue(first.recv(65536))
        self.assertRaises(BlockingIOError, first.recv, 65536)
        out, err = process.communicate(b"hello", timeout=DEADLINE_S)
        self.assertEqual((process.returncode, out, err), (0, b"hello", b""))
        # The losers are let go of.
        first.settimeout(DEADLINE_S)
        while first.recv(65536):
            pass

    def test_an_edge_without_the_connector(self):
        """Another edge may have it: nothing was read from stdin yet."""
        for error in ("connector-down", "draining"):
            with self.subTest(error):
                first = self.ingress(refuse(REFUSALS[error][0], error))
                last = self.ingress(echo)
                code, out, err = self.connect([first.address, last.address], data=b"hello")
                self.assertEqual((code, out, err), (0, b"hello", ""))
                self.assertEqual((len(first.requests), len(last.requests)), (1, 1))

    def test_the_slow_edge_is_asked_after_all(self):
        """It was overtaken by one that has no connector."""
        down, last = self.ingress(refuse("503", "connector-down")), self.ingress(echo)
        relay = Shaper(("127.0.0.1", last.port))
        self.addCleanup(relay.close)
        relay.down.silent = True

        def then(conn, stream):
            relay.down.silent = False
            refuse("503", "connector-down")(conn, stream)
        down.answer = then
        code, out, err = self.connect([f"127.0.0.1:{relay.port}", down.address], data=b"hello")
        self.assertEqual((code, out, err), (0, b"hello", ""))
        self.assertEqual((len(down.requests), len(last.requests)), (1, 1))

    def test_an_edge_lost_before_it_answers(self):
        first, last = self.ingress(lambda conn, stream: conn.close()), self.ingress(echo)
        code, out, err = self.connect([first.address, last.address], data=b"hello")
        self.assertEqual((code, out, err), (0, b"hello", ""))
        self.assertEqual((len(first.requests), len(last.requests)), (1, 1))

    def test_other_refusals_are_the_same_everywhere(self):
        first, last = self.ingress(refuse("403", "not-granted")), self.ingress(echo)
        self.assertEqual(self.connect([first.address, last.address])[0], 12)
        self.assertEqual(len(last.requests), 0)

    def test_no_edge_with_the_connector(self):
        """An answer tells more than an edge after it that isn't there; of two answers the last."""
        down = self.ingress(refuse("503", "connector-down"))
        code, out, err = self.connect([down.address, f"127.0.0.1:{free_port()}"], data=b"x")
        self.assertEqual((code, out), (13, b""))
        self.assert_line(err, "not connected")
        draining = self.ingress(refuse("503", "draining"))
        code, _, err = self.connect([down.address, draining.address])
        self.assertEqual(code, 13)
        self.assert_line(err, "shutting down")

    def test_edge_option(self):
        address = self.ingress(echo).address
        dead = f"127.0.0.1:{free_port()}"
        self.assertEqual(self.connect(dead, "--edge", dead, "--edge", address)[0], 0)

    def test_names(self):
        names = NameServer({"edge.test": ["127.0.0.1"], "web.test": ["10.0.0.1", "10.0.0.2"]})
        self.addCleanup(names.close)

        def second_only(conn, stream):
            if stream.headers[":authority"] == "10.0.0.2:22":
                echo(conn, stream)
            else:
                refuse("404", "no-route")(conn, stream)
        ingress = self.ingress(second_only, dns=("edge.test",))
        edge = f"edge.test:{ingress.port}"
        argv = ("--resolver", names.address)
        self.assertEqual(self.connect(edge, *argv, data=b"x", target=("web.test", "22"))[:2],
                         (0, b"x"))
        code, _, err = self.connect(edge, *argv, target=("nowhere.test", "22"))
        self.assertEqual(code, 22)
        self.assert_line(err, "nowhere.test: no such name")
        code, _, err = self.connect("nowhere.test:443", *argv)
        self.assertEqual(code, 21)
        self.assert_line(err, "edge nowhere.test: no such name")
        ingress.answer = refuse("404", "no-route")
        code, _, err = self.connect(edge, *argv, target=("web.test", "22"))
        self.assertEqual(code, 10)
        self.assert_line(err, "web.test (10.0.0.")


class Terminal(ConnectCase):
    def start_on_terminal(self):
        """As from a shell: stdin and stdout are one terminal."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        path = self.credentials([self.ingress(echo).address])
        process = self.popen("--credentials", path, "10.1.2.3", "22", stdin=theirs, stdout=theirs)
        return process, ours, theirs

    def flags(self, fd):
        return fcntl.fcntl(fd, fcntl.F_GETFL)

    def test_flags_after_the_end(self):
        process, ours, theirs = self.start_on_terminal()
        before = self.flags(theirs) & ~os.O_NONBLOCK
        os.write(ours, b"typed\n\x04")
        self.assertEqual(process.wait(DEADLINE_S), 0)
        self.assertEqual(self.flags(theirs), before)

    def test_flags_after_a_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number=number):
                process, ours, theirs = self.start_on_terminal()
                wait_until(lambda: self.flags(theirs) & os.O_NONBLOCK, "stdin in use")
                process.send_signal(number)
                self.assertEqual(process.wait(DEADLINE_S), 128 + number)
                self.assertFalse(self.flags(theirs) & os.O_NONBLOCK)
                self.assertEqual(process.stderr.read(), b"")


class Start(ConnectCase):
    def run_adit(self, *argv, env=None):
        done = subprocess.run([ADIT, "connect", *argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **(env or {})}, timeout=DEADLINE_S)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_usage(self):
        for argv in ((), ("h",), ("h", "22", "x"), ("h", "0"), ("h", "65536"), ("h", "ssh"),
                     ("--listen", "127.0.0.1", "h", "22"), ("--listen", "0.0.0.0:22", "h", "22"),
                     ("--listen", "192.0.2.1:2222", "h", "22"), ("--edge", "nohost", "h", "22"),
                     ("--virtual-network", "a\nb", "h", "22"), ("--token", "x", "h", "22")):
            with self.subTest(argv=argv):
                code, _, err = self.run_adit(*argv)
                self.assertEqual(code, 64)
                self.assertIn("adit connect", err)

    def test_help_and_manual_agree(self):
        code, out, _ = self.run_adit("--help")
        self.assertEqual(code, 0)
        rows = re.findall(r"(?m)^ *(\d+|128\+N)  (.*)$", out)
        codes = {code for code, _ in rows}
        self.assertLessEqual({str(v[1]) for v in REFUSALS.values()}, codes)
        with open(os.path.join(os.environ["ADIT_SOURCE_DIR"], "docs", "connect.md"),
                  encoding="utf-8") as f:
            manual = re.findall(r"(?m)^\| (\d+|128\+N) \| (.*?) \|", f.read())
        self.assertEqual(rows, [r for r in manual if r[0] in codes])
        self.assertEqual(len(rows), 20)

    def test_credentials(self):
        good = self.credentials(["127.0.0.1:1"])
        self.assertEqual(self.run_adit("h.invalid", "22", env={
            "ADIT_CLIENT_CREDENTIALS": good})[0], 21)
        os.makedirs(self.path(".config", "adit"))
        os.rename(good, self.path(".config", "adit", "client.json"))
        self.assertEqual(self.run_adit("h.invalid", "22", env={
            "HOME": self.tmp, "ADIT_CLIENT_CREDENTIALS": ""})[0], 21)
        open_file = self.credentials(["127.0.0.1:1"], mode=0o644)
        broken = self.write("broken.json", '{"token": "adit_top.secret"')
        partial = self.write("partial.json", json.dumps({"version": 2, "token": "adit top.secret",
                                                         "edges": ["x"], "name": "a\nb"}))
        for path, words in ((open_file, ["chmod"]), (broken, ["JSON"]),
                            (partial, ["version", "token", "edges", "name", "ca: missing"]),
                            (self.path("absent.json"), ["absent.json", "client add"])):
            with self.subTest(path=path):
                code, _, err = self.run_adit("--credentials", path, "h", "22")
                self.assertEqual(code, 78, err)
                self.assertNotIn("top.secret", err)
                for word in words:
                    self.assertIn(word, err)

    def test_bad_ca(self):
        path = self.credentials(["127.0.0.1:1"])
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        document["ca"] = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"
        code, _, err = self.run_adit("--credentials", self.write("ca.json", json.dumps(document)),
                                     "h", "22")
        self.assertEqual(code, 1)
        self.assertIn("PEM", err)


class Listen(ConnectCase):
    def listen(self, *edges):
        self.port = free_port()
        path = self.credentials(list(edges))
        process = self.start("listen", [ADIT, "connect", "--credentials", path, "--listen",
                                        f"127.0.0.1:{self.port}", "10.116.0.3", "22"])
        process.wait_log("listening")
        return process

    def dial(self):
        sock = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        sock.settimeout(DEADLINE_S)
        self.addCleanup(sock.close)
        return sock

    def exchange(self, sock, data):
        sock.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = sock.recv(65536)
            self.assertTrue(piece, "ended early")
            got += piece
        self.assertEqual(got, data)

    def test_many_on_one_link(self):
        ingress = self.ingress(echo)
        process = self.listen(ingress.address)
        socks = [self.dial() for _ in range(20)]
        for i, sock in enumerate(socks):
            self.exchange(sock, b"hello %d" % i)
        for sock in socks:
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(1), b"")
        self.assertEqual(len(ingress.connections), 1)
        process.signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 128 + signal.SIGTERM)

    def test_ends_with_open_connections(self):
        process = self.listen(self.ingress(echo).address)
        sock = self.dial()
        self.exchange(sock, b"x")
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 128 + signal.SIGINT)

    def test_refused(self):
        process = self.listen(self.ingress(refuse("403", "not-granted")).address)
        sock = self.dial()
        try:
            self.assertEqual(sock.recv(1), b"")
        except ConnectionResetError:
            pass
        process.wait_log("may not reach")

    def test_link_lost(self):
        ingress = self.ingress(echo)
        process = self.listen(ingress.address)
        sock = self.dial()
        self.exchange(sock, b"before")
        ingress.connections[0].close()
        try:
            self.assertEqual(sock.recv(1), b"")
        except ConnectionResetError:
            pass
        process.wait_log("edge not connected")
        self.exchange(self.dial(), b"after")
        self.assertEqual(len(ingress.connections), 2)

    def test_edge_comes_later(self):
        ingress = self.ingress(echo)
        dead = f"127.0.0.1:{free_port()}"
        process = self.listen(dead)
        process.wait_log("edge not connected")
        sock = self.dial()
        try:
            self.assertEqual(sock.recv(1), b"")
        except ConnectionResetError:
            pass
        process.wait_log("connection failed")
        self.assertEqual(ingress.connections, [])

    def test_goaway(self):
        ingress = self.ingress(echo)
        process = self.listen(ingress.address)
        old = self.dial()
        self.exchange(old, b"old")
        ingress.connections[0].send_goaway()
        process.wait_log("edge goes away")
        new = self.dial()
        self.exchange(new, b"new")
        self.exchange(old, b"still there")
        self.assertEqual(len(ingress.connections), 2)
        old.shutdown(socket.SHUT_WR)
        self.assertEqual(old.recv(1), b"")
        # Its last stream has ended: the old link is closed.
        ingress.connections[0].wait(lambda: ingress.connections[0].closed, "the old link's end")
        self.exchange(new, b"again")

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            at = f"127.0.0.1:{other.getsockname()[1]}"
            path = self.credentials(["127.0.0.1:1"])
            done = subprocess.run([ADIT, "connect", "--credentials", path, "--listen", at,
                                   "10.1.2.3", "22"], stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 1)
        self.assert_line(done.stderr.decode(), f"can't listen on {at}")


if __name__ == "__main__":
    main()
