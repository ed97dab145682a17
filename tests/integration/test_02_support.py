# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a bad path does what it says, the throw-away sshd lets us in."""

import socket
import subprocess

from support import origin
from support.case import Case, main
from support.require import need
from support.shaper import Shaper
from support.sshd import Sshd
from support.waiting import wait_until


class ShaperTest(Case):
    def setUp(self):
        super().setUp()
        self.server = origin.Origin(origin.echo)
        self.addCleanup(self.server.close)

    def dial(self, **options):
        shaper = Shaper(("127.0.0.1", self.server.port), **options)
        self.addCleanup(shaper.close)
        sock = socket.create_connection(("127.0.0.1", shaper.port), 60)
        self.addCleanup(sock.close)
        return shaper, sock

    def exchange(self, sock, data):
        sender = self.thread(sock.sendall, data)
        got = bytearray()
        while len(got) < len(data):
            piece = sock.recv(65536)
            self.assertTrue(piece)
            got += piece
        sender.join(10)
        self.assertEqual(bytes(got), data)

    def test_bytes_pass_unchanged(self):
        shaper, sock = self.dial(buffer_bytes=100000)
        shaper.up.bytes_per_s = shaper.down.bytes_per_s = 4 << 20
        shaper.up.delay_s = 0.01
        self.exchange(sock, origin.pattern(1 << 20))
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(sock.recv(1), b"")
        wait_until(lambda: shaper.n_open() == 0, "the pair to go")

    def test_one_way_silence(self):
        shaper, sock = self.dial()
        self.exchange(sock, b"before")
        shaper.down.silent = True
        sock.sendall(b"lost")
        sock.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            sock.recv(1)
        shaper.down.silent = False
        sock.settimeout(60)
        self.exchange(sock, b"after")

    def test_cut(self):
        shaper, sock = self.dial()
        self.exchange(sock, b"before")
        shaper.cut()
        with self.assertRaises(ConnectionResetError):
            sock.recv(1)


class SshdTest(Case):
    def test_direct_login(self):
        need("sshd")
        sshd = Sshd(self)
        done = subprocess.run(["ssh", *sshd.ssh_options(), "-p", str(sshd.port),
                               f"{sshd.user}@127.0.0.1", "echo in; exit 7"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual((done.stdout, done.returncode), (b"in\n", 7))


if __name__ == "__main__":
    main()
