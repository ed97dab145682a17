# SPDX-License-Identifier: Apache-2.0
"""What costs a peer little and us much, in each role: it ends the connection or is bounded, and
somebody else is served meanwhile. docs/abuse.md lists the cases."""

import socket
from collections import namedtuple

from peers.h2raw import RawConnection, settle
from support.case import main
from support.conformance import ECHO, Conformance
from support.h2cases import CLOSED, IDLE, OPEN
from support.h2frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE,
                              PRIORITY, RST, SETTINGS, WHOLE, WINDOW, code_of, fields, frame, u32)
from support.memory import is_sanitized, rss
from support.parties import ASKED, WILD, AgentParty, IngressParty, OpenerParty
from support.stack import dial_tls
from support.tlsca import client_context
from support.waiting import wait_until

N = 90_000      # units of an attack: more than the burst of every limit
TOP = 0x7FFF_FFFF

# @send: of a party's connection `p`, see support/conformance.py. @state: of stream p.s before.
Flood = namedtuple("Flood", "name send state")

FLOODS = [
    Flood("PING", lambda p: frame(PING, 0, 0, bytes(8)) * N, IDLE),
    Flood("PING ACK", lambda p: frame(PING, 1, 0, bytes(8)) * N, IDLE),
    Flood("SETTINGS", lambda p: frame(SETTINGS) * N, IDLE),
    Flood("WINDOW_UPDATE of 1", lambda p: frame(WINDOW, 0, 0, u32(1)) * N, IDLE),
    Flood("WINDOW_UPDATE of 1 on a stream", lambda p: frame(WINDOW, 0, p.s, u32(1)) * N, OPEN),
    Flood("PRIORITY", lambda p: frame(PRIORITY, 0, p.s, u32(0) + b"\1") * N, OPEN),
    Flood("unknown frames", lambda p: frame(0xFA, 0, 0, b"") * N, IDLE),
    Flood("empty DATA", lambda p: frame(DATA, 0, p.s) * N, OPEN),
    Flood("resets of one stream", lambda p: frame(RST, 0, p.s, code_of("CANCEL")) * N, CLOSED),
    Flood("CONTINUATION", lambda p: frame(HEADERS, 0, p.s + 2 * (not p.opener), b"") +
          frame(CONTINUATION, 0, p.s + 2 * (not p.opener)) * N, OPEN),
    Flood("GOAWAY", lambda p: frame(GOAWAY, 0, 0, u32(TOP) + bytes(4)) * N, IDLE),
    # What makes the peer reset ("MadeYouReset"): once is a stream's error, at most.
    Flood("window overflow of a stream", lambda p: frame(WINDOW, 0, p.s, u32(TOP)) * N, OPEN),
    Flood("PRIORITY on itself", lambda p: frame(PRIORITY, 0, p.s, u32(p.s) + b"\1") * N, OPEN),
    Flood("WINDOW_UPDATE of 0 on a stream", lambda p: frame(WINDOW, 0, p.s, u32(0)) * N, OPEN),
    Flood("DATA after the end", lambda p: frame(DATA, END_STREAM, p.s) +
          frame(DATA, 0, p.s, b"x") * N, OPEN),
]

# What only who opens streams can do; p.s is the first number that is free.
REQUESTS = [
    Flood("requests and resets", lambda p: each(p, lambda s: frame(RST, 0, s, code_of("CANCEL"))),
          IDLE),
    Flood("requests and window overflows",
          lambda p: each(p, lambda s: frame(WINDOW, 0, s, u32(TOP))), IDLE),
    Flood("requests and increments of 0", lambda p: each(p, lambda s: frame(WINDOW, 0, s, u32(0))),
          IDLE),
    Flood("requests and DATA after the end",
          lambda p: each(p, lambda s: frame(DATA, END_STREAM, s) + frame(DATA, 0, s, b"x")), IDLE),
    Flood("requests on themselves",
          lambda p: each(p, lambda s: frame(PRIORITY, 0, s, u32(s) + b"\1")), IDLE),
    Flood("requests without end", lambda p: each(p, lambda s: b""), IDLE),
]
# What has to be answered, and nobody reads the answers.
ANSWERED = [f for f in FLOODS + REQUESTS
            if f.name in ("PING", "SETTINGS", "DATA after the end", "requests and resets",
                          "requests and window overflows", "requests without end")]


def each(p, then, n=N // 2):
    """Requests, each followed by @then(its stream)."""
    head = fields(*p.flood)
    return b"".join(frame(HEADERS, END_HEADERS, s, head) + then(s)
                    for s in range(p.s, p.s + 2 * n, 2))


class Floods(Conformance):
    """Beside Conformance's, of a party: victim() is the process whose memory is looked at."""

    def prepare(self, state):
        p = super().prepare(state)
        p.flood = self.plain
        return p

    def flood(self, cases, deaf):
        for case in cases:
            with self.subTest(case.name, deaf=deaf):
                p = self.prepare(case.state)
                if deaf:
                    p.conn.deafen()
                p.conn.send_raw(case.send(p))
                self.wait_end(p.conn, case.name)
                self.after(p)
                self.assert_others_served()

    def after(self, p):
        """For who has more to clean up."""

    @staticmethod
    def wait_end(conn, name):
        """Who doesn't read learns of the end by sending more."""
        def ended():
            if not conn.closed:
                conn.send_raw(frame(PING, 0, 0, bytes(8)))
            return conn.closed
        wait_until(ended, f"the end of the connection: {name}")

    def header_bombs(self, n, stream):
        """@n header lists with one field of 4 KB of HPACK's table, named ten thousand times."""
        field = b"\x40" + fields(("x", "y" * 3900))[1:]
        for k in range(n):
            yield frame(HEADERS, END_HEADERS | END_STREAM, stream(k),
                        fields(*self.plain) + field + b"\xbe" * 10_000)

    def assert_small(self, before):
        if not is_sanitized():
            self.assertLess(rss(self.victim()) - before, 32 << 20)

    def resets_of(self, n):
        """As many requests and resets as ought to pass; True if the connection is still there."""
        p = self.prepare(IDLE)
        data = each(p, lambda s: frame(RST, 0, s, code_of("CANCEL")), n)
        p.conn.next += 2 * n
        p.conn.send_raw(data)
        # The other end, like all, takes only so many frames without payload at a time.
        settle(p.conn)
        return not p.conn.closed


class IngressFloods(Floods, IngressParty):
    def victim(self):
        return self.edge.process

    def test_floods(self):
        self.flood(FLOODS + REQUESTS, deaf=False)

    def test_floods_unread(self):
        self.flood(ANSWERED, deaf=True)

    def test_resets_of_strangers_and_friends(self):
        """200 at once for who has shown nothing, 20,000 after a valid token."""
        self.assertTrue(self.resets_of(190))
        self.assertFalse(self.resets_of(2_000))
        for n in (19_000, 45_000):
            conn = self.take()
            conn.send_raw(frame(HEADERS, END_HEADERS, 1, fields(*self.fields_for(ECHO))))
            conn.wait(lambda c=conn: c.h2.statuses.get(1), "the answer")
            conn.next = 3
            self.take, usual = lambda c=conn: c, self.take
            with self.subTest(n):
                self.assertEqual(self.resets_of(n), n == 19_000)
            self.take = usual
        self.assert_others_served()

    def test_header_bombs(self):
        before = rss(self.victim())
        conn = self.take()
        conn.send_raw(b"".join(self.header_bombs(100, lambda k: 1 + 2 * k)))
        self.assert_others_served()
        self.assert_small(before)
        conn.wait(lambda: conn.closed or len(conn.h2.of(RST)) == 100, "each to be refused")
        self.assertFalse([s for s in conn.h2.statuses.values() if s == "200"])

    def test_slow_ones_go(self):
        """At each stage its time, and all at once: TLS, preface, headers, a request's token."""
        hello = PREFACE + frame(SETTINGS)
        secured = [hello[:9], hello, hello + frame(HEADERS, 0, 1, fields(("a", "b"))),
                   hello + frame(HEADERS, END_HEADERS, 1, fields(*self.plain))[:-3],
                   hello + frame(HEADERS, WHOLE, 1, fields((":method", "CONNECT"),
                                                          (":authority", f"{ECHO}:22")))]
        socks = [dial_tls(self, self.edge, data) for data in secured]
        for data in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
            self.addCleanup(sock.close)
            sock.sendall(data)
            socks.append(sock)
        alive = self.take()     # answers PINGs, asks for nothing
        for sock in socks:
            self.assert_closed(sock)
            self.assert_others_served()
        alive.wait(lambda: alive.closed, "the edge to close")
        self.assertIn("no valid token in time", self.edge.process.log())

    @staticmethod
    def assert_closed(sock):
        """Within the socket's time-out."""
        try:
            while sock.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass


class AgentFloods(Floods, AgentParty):
    def victim(self):
        return self.agent.process

    def test_floods(self):
        self.flood(FLOODS + REQUESTS, deaf=False)

    def test_floods_unread(self):
        self.flood(ANSWERED, deaf=True)

    def test_resets_of_an_edge(self):
        """20,000 at once: a user's port scan is no attack."""
        self.assertTrue(self.resets_of(19_000))
        self.assertFalse(self.resets_of(45_000))
        self.assert_others_served()

    def test_header_bombs(self):
        before = rss(self.victim())
        conn = self.take()
        conn.send_raw(b"".join(self.header_bombs(100, lambda k: 100_001 + 2 * k)))
        self.assert_others_served()
        self.assert_small(before)


class OpenerFloods(Floods, OpenerParty):
    def victim(self):
        return self.edge.process

    def after(self, p):
        """Who asked hears of it."""
        if hasattr(p, "asked"):
            self.client.wait(lambda: p.asked.closed or self.client.closed, "the client to hear")

    def test_floods(self):
        self.flood(FLOODS, deaf=False)

    def test_floods_unread(self):
        self.flood([f for f in ANSWERED if f in FLOODS], deaf=True)

    def test_slow_ones_go(self):
        """TLS and nothing, SETTINGS and nothing; what is asked is answered."""
        conns = []
        for hello in (b"", frame(SETTINGS)):
            sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
            tls = client_context(self.edge.ca_file).wrap_socket(
                sock, server_hostname="127.0.0.1", do_handshake_on_connect=False)
            conns.append(RawConnection(tls, hello).start())
            self.addCleanup(conns[-1].close)
        for conn in conns:
            conn.wait(lambda c=conn: c.closed, "the edge to close")
        self.assertIn("no registration in time", self.edge.process.log())
        self.assert_others_served()

    def test_header_bombs(self):
        before = rss(self.victim())
        asked, p = [], self.prepare(ASKED)
        asked.append(p.asked)
        p.conn.send_raw(b"".join(self.header_bombs(1, lambda k: p.s)))
        self.client.wait(lambda: p.asked.closed, "the client to hear")
        self.assertNotEqual(p.asked.headers.get(":status"), "200")
        for _ in range(30):
            if p.conn.closed:
                break
            stream = self.client.connect(f"{WILD}:22")
            p.conn.wait(lambda: len(p.conn.h2.of(HEADERS)) > len(asked) or p.conn.closed,
                        "the edge's request")
            asked.append(stream)
            number = p.conn.h2.of(HEADERS)[-1].stream
            p.conn.send_raw(b"".join(self.header_bombs(1, lambda k, s=number: s)))
            self.client.wait(lambda s=stream: s.closed, "the client to hear")
        self.assert_others_served()
        self.assert_small(before)

    def test_resets_of_an_agent(self):
        """The edge opens, the agent resets: the client hears of each, and nobody else is harmed."""
        p = self.prepare(ASKED)
        for _ in range(200):
            known = len(p.conn.h2.of(HEADERS))
            p.conn.send_raw(frame(RST, 0, p.s, code_of("INTERNAL_ERROR")))
            self.client.wait(lambda: p.asked.closed, "the client to hear")
            self.assertEqual(p.asked.headers.get("adit-error"), "internal")
            p.asked = self.client.connect(f"{WILD}:22")
            p.conn.wait(lambda k=known: len(p.conn.h2.of(HEADERS)) > k, "the next request")
            p.s = p.conn.h2.of(HEADERS)[-1].stream
        self.assertFalse(p.conn.closed)
        self.assert_others_served()


if __name__ == "__main__":
    main()
