# SPDX-License-Identifier: Apache-2.0
"""Ends without a goodbye, floods and shortage: who does it loses, nobody else, and nothing stays."""

import os
import signal
import socket
import ssl
import struct
import time

from peers.client import load_token
from support.case import Case, main
from support.h2frames import (CONTINUATION, DATA, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW,
                              fields, frame)
from support.memory import n_descriptors
from support.origin import echo
from support.stack import HOST, Stack, dial_tls, echo_line, serve
from support.waiting import wait_until

HELLO = PREFACE + frame(SETTINGS)


def cpu_s(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields_after_name = f.read().rpartition(")")[2].split()
    return sum(map(int, fields_after_name[11:13])) / os.sysconf("SC_CLK_TCK")


class AbuseCase(Case):
    """HOST is an echo; a client holds one stream to it open."""

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, echo).port, start=False)
        self.limit()
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()
        self.edge, self.agent = self.stack.edge.process, self.stack.agent.process
        self.held = self.stack.popen()
        echo_line(self.held, "hello")

    def limit(self):
        """For who wants another edge than usual."""

    def request(self):
        return fields((":method", "CONNECT"), (":authority", f"{HOST}:22"),
                      ("proxy-authorization", f"Bearer {load_token(self.stack.client)}"))


class Ends(AbuseCase):
    def test_agent_killed_under_a_stream(self):
        """The stream outlives its connection for a moment: the edge must not touch the latter."""
        self.agent.kill()
        self.assertEqual(self.held.wait(), 23)
        self.assertEqual(self.stack.edge.connections(), [])
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()
        echo_line(self.stack.popen(), "again")

    def test_stopped_for_a_moment(self):
        """Shorter than what makes a connection dead: nobody notices."""
        for process in (self.agent, self.edge):
            process.signal(signal.SIGSTOP)
            self.held.stdin.write(b"x")
            process.signal(signal.SIGCONT)
            self.assertEqual(self.held.stdout.read(1), b"x")
        self.assertEqual(self.stack.agent.state(), "Healthy")

    def test_clients_reset_at_each_stage(self):
        before = n_descriptors(self.edge), n_descriptors(self.agent)
        hello, opened = HELLO, frame(HEADERS, 4, 1, self.request())
        for data in (b"", hello[:10], hello, hello + opened[:20], hello + opened,
                     hello + opened + frame(DATA, 0, 1, bytes(9000)),
                     hello + opened + frame(RST, 0, 1, bytes(4))):
            for _ in range(5):
                tls = dial_tls(self, self.stack.edge, data)
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(tls.detach())
        wait_until(lambda: (n_descriptors(self.edge), n_descriptors(self.agent)) == before,
                   "all descriptors back")
        echo_line(self.held, "still")


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
                echo_line(self.held, "still")

    def assert_cut_off(self, before, data):
        """The edge closes although we read all that it sends."""
        tls = dial_tls(self, self.stack.edge, before)
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
    def limit(self):
        self.stack.edge.kill()
        self.stack.edge.prefix = ["prlimit", "--nofile=48"]
        self.stack.edge.start()

    def test_no_descriptor_left(self):
        """The backlog stays full: the edge waits for descriptors instead of spinning."""
        crowd = [socket.create_connection(("127.0.0.1", self.stack.edge.port), 60)
                 for _ in range(100)]
        self.edge.wait_log("can't accept")
        cpu_began, began = cpu_s(self.edge), time.monotonic()
        # Something that lasts, and is no work for the edge.
        for _ in range(50):
            self.assertEqual(self.stack.agent.state(), "Healthy")
        used = cpu_s(self.edge) - cpu_began
        # Both clocks are compared with each other: a slow machine slows both.
        self.assertLess(used, (time.monotonic() - began) / 4)
        echo_line(self.held, "still")
        for sock in crowd:
            sock.close()
        echo_line(self.stack.popen(), "later")

    def test_strangers_give_their_descriptors(self):
        """Fewer descriptors than places: who has shown nothing gives way all the same."""
        for _ in range(60):
            dial_tls(self, self.stack.edge)
        self.edge.wait_log("its place is needed")
        echo_line(self.stack.popen(), "meanwhile")
        echo_line(self.held, "still")


if __name__ == "__main__":
    main()
