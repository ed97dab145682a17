# SPDX-License-Identifier: Apache-2.0
"""A user with a valid token, and one without: forbidden destinations in every spelling, forged
lines of the log, and slowness; files that others could have put in place."""

import json
import os
import socket

from peers.client import load_token
from support import adit, origin
from support.case import Case, main
from support.h2frames import (CONTINUATION, END_HEADERS, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, fields,
                              frame, kinds)
from support.stack import HOST, Stack, dial_tls, echo_line, serve

HELLO = PREFACE + frame(SETTINGS)
FORGED = "x\r\n2026-01-01T00:00:00.000Z ERR forged\x1b[31m\x07"

# No route and no grant can open these, and the edge itself never dials.
FORBIDDEN = ["127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1",
             "255.255.255.255", "240.0.0.1", "[::]", "[::1]", "[fe80::1]", "[ff02::1]",
             "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]", "[64:ff9b::7f00:1]",
             "[64:ff9b::169.254.169.254]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]"]
# Not a literal address and port.
UNREADABLE = ["localhost:22", "127.1:22", "0:22", "2130706433:22", "0x7f.0.0.1:22", "0177.0.0.1:22",
              "127.0.0.1.:22", "[fe80::1%lo]:22", "[::1%25lo]:22", "::1:22", "[::1]", "[]:22", ":22",
              "", f"{HOST}:0", f"{HOST}:65536", f"{HOST}:65558", f"{HOST}:022", f"{HOST}:+22",
              f"{HOST}:-1", f"{HOST}:0x16", f"{HOST}:", f"{HOST}::22", f"{HOST}:22:22",
              f"user@{HOST}:22", f"{HOST},127.0.0.1:22", "*:22", "\u0661\u0660.1.1.1:22"]


class HostileClient(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.stack = Stack(self, self.server.port,
                           edge_settings=f"access-log: {self.path('access.log')}\n")
        self.edge = self.stack.edge
        self.held = self.stack.popen()
        echo_line(self.held, "before")

    def tearDown(self):
        echo_line(self.held, "after")
        echo_line(self.stack.popen(), "new")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        super().tearDown()

    def test_forbidden_destinations(self):
        """Even with all of both families routed and granted."""
        for network in ("0.0.0.0/0", "::/0"):
            self.edge.admin("route", "add", network, "t1")
            self.edge.admin("client", "grant", "add", "alice", network)
        client = self.stack.scripted_client()
        for host in FORBIDDEN:
            with self.subTest(host):
                status, error = client.answer(client.connect(f"{host}:{self.server.port}"))
                self.assertIn((status, error), (("403", "forbidden"), ("403", "not-granted"),
                                                ("404", "no-route"), ("400", "bad-destination")))
        self.assertEqual(client.answer(client.connect(f"{HOST}:22")), ("200", None))

    def test_unreadable_destinations(self):
        client = self.stack.scripted_client()
        for authority in UNREADABLE:
            with self.subTest(authority):
                stream = client.connect(authority)
                status, error = client.answer(stream)
                self.assertIn((status, error), (("400", "bad-destination"), (None, None)))
        self.assertFalse(client.closed)
        self.assertEqual(client.answer(client.connect(f"{HOST}:22")), ("200", None))

    def test_nothing_forged_in_the_logs(self):
        """By raw header fields, known user or not."""
        token = load_token(self.stack.client)
        for authority, secret, extra in (
                (FORGED, token, ()), (FORGED, FORGED, ()), (f"{HOST}:22", f"adit_{FORGED}.x", ()),
                (f"{HOST}:22", token, [("adit-virtual-network", FORGED)]),
                ("\x1b[31m:22", token, ()), (b"\xff\xfe\x9b31m:22", token, ()),
                (f"{HOST}:22", token, [("adit-virtual-network", b"\xc2\x9b31m\xe2\x80\xae")]),
                (f"{HOST}:22", token, [("adit-virtual-network", "\x7f" * 300)]),
                ("y" * 65536, token, ()), (f"{HOST}:22", "z" * 12000, ())):
            pairs = [(":method", "CONNECT"), (":authority", authority),
                     ("proxy-authorization", b"Bearer " + secret.encode()), *extra]
            block = fields(*pairs)
            parts = [block[at:at + 16000] for at in range(0, len(block), 16000)]
            out = frame(HEADERS, END_HEADERS if len(parts) == 1 else 0, 1, parts[0])
            for n, part in enumerate(parts[1:], 2):
                out += frame(CONTINUATION, END_HEADERS if n == len(parts) else 0, 1, part)
            tls = dial_tls(self, self.edge, HELLO + out)
            tls.settimeout(60)
            got = b""
            # SETTINGS and its ACK come first; the answer, a reset or the end after them.
            while not any(kind in (HEADERS, RST, GOAWAY) for kind in kinds(got)):
                piece = tls.recv(65536)
                if not piece:
                    break
                got += piece
        with open(self.path("access.log"), encoding="utf-8") as f:
            lines = f.read().splitlines()
        for line in lines:
            json.loads(line)
        # What HTTP/2 lets through is there, as letters.
        self.assertTrue(any("\\u009B31m\\u202E" in line for line in lines), lines)
        for text in (self.edge.process.log(), "\n".join(lines)):
            self.assertFalse(set("\r\x1b\x07\x7f\x9b\u202e") & set(text), repr(text))
            self.assertFalse([x for x in text.splitlines() if x.startswith("2026-01-01")])
            self.assertNotIn("z" * 100, text)
        self.assertLess(max(map(len, self.edge.process.log().splitlines())), 4096)

    def test_slow_ones_hold_up_nobody(self):
        """Each stops at another stage; that they go in time is test_69_floods'."""
        partial = frame(HEADERS, 0, 1, fields((":method", "CONNECT")))
        for data in (HELLO[:5], HELLO, HELLO + partial, HELLO + partial[:7]):
            for _ in range(20):
                dial_tls(self, self.edge, data)
        raw = []
        for data in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            for _ in range(20):
                sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
                self.addCleanup(sock.close)
                sock.sendall(data)
                raw.append(sock)
        echo_line(self.stack.popen(), "meanwhile")
        self.assertEqual(len(self.edge.agents()), 4)


class Files(Case):
    """What somebody else may have put where a secret or a socket belongs."""

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port, start=False)
        self.victim = self.write("victim", "precious", 0o600)

    def tearDown(self):
        with open(self.victim, encoding="utf-8") as f:
            self.assertEqual(f.read(), "precious")
        super().tearDown()

    def test_credentials_of_users(self):
        real = self.stack.client
        link = self.path("link.json")
        os.symlink(real, link)
        fifo = self.path("fifo.json")
        os.mkfifo(fifo, 0o600)
        with open(real, encoding="utf-8") as f:
            text = f.read()
        for path in (link, fifo, self.tmp, "/dev/zero", self.write("group.json", text, 0o640),
                     self.write("huge.json", text + " " * (8 << 20))):
            with self.subTest(path):
                done = adit.connect(HOST, 22, path)
                self.assertNotIn(done.returncode, (0, 1), done.stderr)
                self.assertIn(os.path.basename(path).encode(), done.stderr)

    def test_credentials_of_tunnels(self):
        link = self.path("tunnel-link.json")
        os.symlink(self.stack.tunnel, link)
        for path in (link, self.tmp, "/dev/zero"):
            with self.subTest(path):
                agent = adit.Agent(self, self.stack.edge.address, self.stack.edge.ca_file, path,
                                   name=f"agent-{len(self.processes)}").start()
                self.assertNotEqual(agent.process.wait(), 0)
                self.assertIn(os.path.basename(path), agent.process.log())

    def test_socket_and_state(self):
        """A link at the socket's or the state file's place leads the daemon nowhere."""
        agent = self.stack.agent
        for name in ("state.json", "state.json.tmp", "state.json.new"):
            os.symlink(self.victim, os.path.join(agent.folder, name))
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.assertEqual(agent.terminate(), 0)
        if os.path.lexists(agent.socket):
            os.unlink(agent.socket)
        os.symlink(self.victim, agent.socket)
        agent.start()
        self.assertNotEqual(agent.process.wait(), 0)
        self.assertTrue(os.path.islink(agent.socket))


if __name__ == "__main__":
    main()
