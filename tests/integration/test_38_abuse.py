# SPDX-License-Identifier: Apache-2.0
"""Ends without a goodbye, floods and shortage: who does it loses, nobody else, and nothing stays."""

import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

from support.case import Case, main
from support.origin import Origin, echo
from support.process import free_port
from support.tlsca import client_context
from support.waiting import wait_until

BIN = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd")
HOST = "10.116.0.3"
DATA, HEADERS, RST, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 8, 9


def frame(kind, flags=0, stream=0, payload=b""):
    head = struct.pack(">I", len(payload))[1:]
    return head + struct.pack(">BBI", kind, flags, stream) + payload


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS)


def fields(*pairs):
    """HPACK, literals only."""
    def text(s):
        n = len(s)
        return (bytes([n]) if n < 127 else bytes([127, n - 127])) + s.encode()
    return b"".join(b"\x00" + text(name) + text(value) for name, value in pairs)


def run(*argv):
    return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def n_descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def cpu_s(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields_after_name = f.read().rpartition(")")[2].split()
    return sum(map(int, fields_after_name[11:13])) / os.sysconf("SC_CLK_TCK")


class AbuseCase(Case):
    """An edge and an agent that serves HOST from an echo; a client holds one stream open."""

    n_files = None      # the edge's limit of descriptors

    def setUp(self):
        super().setUp()
        origin = Origin(echo)
        self.addCleanup(origin.close)
        self.port = free_port()
        self.make_edge()
        self.write("agent.yml", f"edge: 127.0.0.1:{self.port}\n"
                   f"cacert: {self.path('edge', 'ca.pem')}\n"
                   f"credentials-file: {self.path('tunnel.json')}\n"
                   f"control-socket: {self.path('agent.sock')}\n"
                   f"state-directory: {self.tmp}\n"
                   f"routes:\n  - network: {HOST}/32\n    via: 127.0.0.1:{origin.port}\n")
        self.start_agent()
        self.held = self.connect("held")
        self.exchange(self.held)

    def make_edge(self):
        done = run(f"{BIN}/adit-edge", "init", "--state-directory", self.path("edge"), "--ip",
                   "127.0.0.1")
        self.assertEqual(done.returncode, 0, done.stderr)
        config = self.write("edge.yml", f"listen: 127.0.0.1:{self.port}\n"
                            f"state-directory: {self.path('edge')}\n"
                            f"control-socket: {self.path('edge.sock')}\n")
        argv = [f"{BIN}/adit-edge", "run", "--config", config]
        if self.n_files:
            argv = ["prlimit", f"--nofile={self.n_files}"] + argv
        self.edge = self.start("edge", argv)
        wait_until(lambda: self.admin("status").returncode == 0, "the edge",
                   show=self.edge.log_tail)
        for command in (f"tunnel create t --credentials-file {self.path('tunnel.json')}",
                        "grant add t 10.116.0.0/16",
                        f"client add c --output {self.path('client.json')} "
                        f"--edge 127.0.0.1:{self.port}",
                        "client grant add c 10.116.0.0/16"):
            done = self.admin(*command.split())
            self.assertEqual(done.returncode, 0, done.stderr)

    def admin(self, *argv):
        return run(f"{BIN}/adit-edge", *argv, "--socket", self.path("edge.sock"))

    def start_agent(self):
        self.agent = self.start("agent", [f"{BIN}/adit", "run", "--config",
                                          self.path("agent.yml")])
        wait_until(lambda: self.status().returncode == 0, "a healthy agent",
                   show=self.agent.log_tail)
        self.agent.wait_log("routes advertised")

    def status(self):
        return run(f"{BIN}/adit", "status", "--socket", self.path("agent.sock"),
                   "--state-directory", self.tmp)

    def connect(self, name):
        return self.start(name, [f"{BIN}/adit", "connect", "--credentials",
                                 self.path("client.json"), HOST, "22"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def exchange(self, process, line=b"hello\n"):
        process.stdin.write(line)
        got = b""
        while len(got) < len(line):
            piece = process.stdout.read(len(line) - len(got))
            self.assertTrue(piece, process.log_tail())
            got += piece
        self.assertEqual(got, line)

    def dial(self, alpn=("h2",), data=b""):
        sock = socket.create_connection(("127.0.0.1", self.port), 60)
        context = client_context(self.path("edge", "ca.pem"), list(alpn))
        tls = context.wrap_socket(sock, server_hostname="127.0.0.1")
        self.addCleanup(tls.close)
        tls.sendall(data)
        return tls

    def request(self):
        with open(self.path("client.json"), encoding="utf-8") as f:
            token = json.load(f)["token"]
        return fields((":method", "CONNECT"), (":authority", f"{HOST}:22"),
                      ("proxy-authorization", f"Bearer {token}"))


class Ends(AbuseCase):
    def test_agent_killed_under_a_stream(self):
        """The stream outlives its connection for a moment: the edge must not touch the latter."""
        self.agent.kill()
        self.assertEqual(self.held.wait(), 23)
        self.assertEqual(self.admin("connections").returncode, 0)
        self.start_agent()
        self.exchange(self.connect("again"))

    def test_stopped_for_a_moment(self):
        """Shorter than what makes a connection dead: nobody notices."""
        for process in (self.agent, self.edge):
            process.signal(signal.SIGSTOP)
            self.held.stdin.write(b"x")
            process.signal(signal.SIGCONT)
            self.assertEqual(self.held.stdout.read(1), b"x")
        self.assertEqual(self.status().returncode, 0)

    def test_clients_reset_at_each_stage(self):
        before = n_descriptors(self.edge), n_descriptors(self.agent)
        hello, opened = HELLO, frame(HEADERS, 4, 1, self.request())
        for data in (b"", hello[:10], hello, hello + opened[:20], hello + opened,
                     hello + opened + frame(DATA, 0, 1, bytes(9000)),
                     hello + opened + frame(RST, 0, 1, bytes(4))):
            for _ in range(5):
                tls = self.dial(data=data)
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(tls.detach())
        wait_until(lambda: (n_descriptors(self.edge), n_descriptors(self.agent)) == before,
                   "all descriptors back")
        self.exchange(self.held)


class Floods(AbuseCase):
    def test_each_is_cut_off(self):
        opened = frame(HEADERS, 4, 1, self.request())
        strangers = [frame(HEADERS, 5, n, fields((":method", "GET"), (":scheme", "https"),
                                                 (":authority", "x"), (":path", "/")))
                     for n in range(1, 20001, 2)]
        for name, before, data in (
                ("PING", b"", frame(PING, 0, 0, bytes(8)) * 80000),
                ("SETTINGS", b"", frame(SETTINGS) * 80000),
                ("WINDOW_UPDATE", b"", frame(WINDOW, 0, 0, b"\0\0\0\1") * 80000),
                ("empty DATA", opened, frame(DATA, 0, 1) * 80000),
                ("CONTINUATION", frame(HEADERS, 0, 1, b""), frame(CONTINUATION, 0, 1) * 80000),
                ("requests and resets", b"", b"".join(
                    s + frame(RST, 0, n * 2 + 1, bytes(4)) for n, s in enumerate(strangers)))):
            with self.subTest(name):
                self.assert_cut_off(HELLO + before, data)
                self.exchange(self.held)

    def assert_cut_off(self, before, data):
        """The edge closes although we read all that it sends."""
        tls = self.dial(data=before)
        tls.settimeout(60)
        self.thread(self.push, tls, data)
        try:
            while tls.recv(65536):
                pass
        except TimeoutError:
            self.fail("the edge did not close")
        except (OSError, ssl.SSLError):
            pass

    @staticmethod
    def push(tls, data):
        try:
            for at in range(0, len(data), 16384):
                tls.sendall(data[at:at + 16384])
        except (OSError, ssl.SSLError):
            pass


class Shortage(AbuseCase):
    n_files = 48

    def test_no_descriptor_left(self):
        """The backlog stays full: the edge waits for descriptors instead of spinning."""
        crowd = [socket.create_connection(("127.0.0.1", self.port), 60) for _ in range(100)]
        self.edge.wait_log("can't accept")
        cpu_began, began = cpu_s(self.edge), time.monotonic()
        for _ in range(10):
            self.exchange(self.held)
            self.assertEqual(self.status().returncode, 0)
        used = cpu_s(self.edge) - cpu_began
        # Both clocks are compared with each other: a slow machine slows both.
        self.assertLess(used, (time.monotonic() - began) / 2 + 0.05)
        for sock in crowd:
            sock.close()
        self.exchange(self.connect("later"))


if __name__ == "__main__":
    main()
