# SPDX-License-Identifier: Apache-2.0
"""Who speaks HTTP/2 with us, each with a connection to go wrong on, and somebody else who has to be
served meanwhile: a client of the edge, an edge of the agent, an agent of the edge."""

import itertools
import socket
import threading

from peers import agent as stock
from peers import edge as scripted
from peers.client import load_token
from peers.h2raw import RawConnection, go_raw, settle
from support.adit import Agent, route, routes, write_credentials
from support.conformance import ECHO, SILENT, Conformance
from support.h2cases import CLOSED, ENDED, RESET
from support.h2frames import (DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST, SETTINGS, code_of,
                              fields, frame)
from support.origin import echo, stall
from support.require import need
from support.stack import Stack, serve
from support.tlsca import Authority, client_context
from support.waiting import wait_until

PLAIN = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "x")]
WILD = "10.117.0.3"
ASKED = "asked"     # the edge's request is there, and no answer
ANSWER = (":status", "200")


def answer(*pairs, flags=END_HEADERS):
    return lambda p: frame(HEADERS, flags, p.s, fields(*pairs))


class IngressParty(Conformance):
    """A client. SILENT is an origin that doesn't read."""

    n_streams = 1000    # of a connection
    plain = PLAIN

    def setUp(self):
        super().setUp()
        self.never = threading.Event()
        self.addCleanup(self.never.set)
        self.stack = Stack(self, serve(self, echo).port, start=False, edge_settings=(
            f"limits:\n  streams-per-connection: {self.n_streams}\n"))
        silent = serve(self, stall(self.never))
        self.stack.routes.append(route(f"{SILENT}/32", via=f"127.0.0.1:{silent.port}"))
        self.stack.agent.configure(routes(*self.stack.routes))
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()
        self.edge = self.stack.edge
        self.token = load_token(self.stack.client)
        self.other = self.stack.scripted_client()

    def fields_for(self, host):
        return [(":method", "CONNECT"), (":authority", f"{host}:22"),
                ("proxy-authorization", f"Bearer {self.token}")]

    def dial(self, hello):
        sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
        tls = client_context(self.edge.ca_file, ["h2"]).wrap_socket(
            sock, server_hostname="127.0.0.1", do_handshake_on_connect=False)
        conn = RawConnection(tls, hello).start()
        self.addCleanup(conn.close)
        return conn

    def take(self):
        conn = self.dial(PREFACE + frame(SETTINGS))
        conn.next = 1
        return settle(conn)

    def assert_others_served(self):
        stream = self.other.connect(f"{ECHO}:22")
        self.assertEqual(self.other.answer(stream), ("200", None))
        self.other.send(stream, b"alive", end=True)
        self.other.wait(lambda: stream.closed, "the echo")
        self.assertEqual(bytes(stream.data), b"alive")


class AgentParty(Conformance):
    """A scripted edge on the connections of one agent; the first of them stays sane."""

    plain = PLAIN

    def setUp(self):
        need("openssl")
        super().setUp()
        self.never = threading.Event()
        self.addCleanup(self.never.set)
        authority = Authority(self.path("ca"))
        self.edge = scripted.Edge(authority, [scripted.success], announce_adit=True)
        self.addCleanup(self.edge.close)
        entries = [route(f"{host}/32", via=f"127.0.0.1:{serve(self, behaviour).port}")
                   for host, behaviour in ((ECHO, echo), (SILENT, stall(self.never)))]
        self.agent = Agent(self, self.edge.address, authority.ca_file, write_credentials(self),
                           routes(*entries), settings="edge-server-name: h2.cftunnel.com\n"
                                                      "ha-connections: 16\n").start()
        self.good = self.edge.wait_registered(16)[0]
        self.spare, self.taken = None, set()

    def fields_for(self, host):
        return [(":method", "GET"), (":scheme", "https"), (":path", "/"),
                (":authority", f"{host}:22"), ("cf-cloudflared-proxy-src", "100.96.0.1")]

    def fresh(self):
        """A registered connection that nobody has used. One that a case ended comes again after
        the agent's back-off: with fifteen that is seldom waited for."""
        return next((c for i, c in self.edge.registered().items()
                     if i > 0 and c not in self.taken), None)

    def take(self):
        if self.spare and not self.spare.closed:
            return self.spare
        conn = wait_until(self.fresh, "a fresh connection of the agent",
                          show=self.agent.process.log_tail)
        self.taken.add(conn)
        go_raw(conn).next = 1001    # far from the control stream
        return settle(conn)

    def assert_others_served(self):
        stream = self.good.open_tcp(f"{ECHO}:22")
        self.assertEqual(self.good.wait_answer(stream).get(":status"), "200")
        self.good.send(stream, b"alive", end=True)
        self.good.wait_end(stream)
        self.assertEqual(bytes(stream.data), b"alive")


class OpenerParty(Conformance):
    """An agent, to which the edge opens streams: what is asked of WILD. ECHO's is a real one."""

    opener = True
    plain = [ANSWER]

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, echo).port)
        self.edge = self.stack.edge
        self.tunnel = self.edge.create_tunnel("wild", [f"{WILD}/32"])
        self.edge.admin("route", "add", f"{WILD}/32", "wild")
        self.edge.admin("client", "grant", "add", "alice", f"{WILD}/32")
        self.other = self.stack.scripted_client()
        self.client = self.stack.scripted_client()
        self.index = itertools.count()
        self.conn = None

    def take(self):
        if self.conn and not self.conn.closed:
            return self.conn
        agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file,
                            stock.load_registration(self.tunnel, next(self.index) % 256))
        self.addCleanup(agent.close)
        self.assertTrue(agent.start().wait_registered())
        self.conn = settle(go_raw(agent))
        self.conn.next = 1001   # far from what the edge opens
        return self.conn

    def bring_to(self, p, state):
        known = {f.stream for f in p.conn.h2.of(HEADERS)}
        p.asked = self.client.connect(f"{WILD}:22")
        opened = lambda: {f.stream for f in p.conn.h2.of(HEADERS)} - known
        p.conn.wait(lambda: opened() or p.conn.closed, "the edge's request")
        p.s = opened().pop()
        if state == ASKED:
            return
        p.conn.send_raw(answer(ANSWER)(p))
        self.assertEqual(self.client.answer(p.asked), ("200", None))
        if state in (ENDED, CLOSED):
            p.conn.send_raw(frame(DATA, END_STREAM, p.s))
        if state == CLOSED:
            self.client.end(p.asked)
            p.conn.wait(lambda: any(f.flags & END_STREAM for f in p.conn.h2.of(DATA, p.s)) or
                        p.conn.h2.of(RST, p.s), "the edge's end")
        elif state == RESET:
            p.conn.send_raw(frame(RST, 0, p.s, code_of("CANCEL")))

    def assert_others_served(self):
        stream = self.other.connect(f"{ECHO}:22")
        self.assertEqual(self.other.answer(stream), ("200", None))
        self.other.send(stream, b"alive", end=True)
        self.other.wait(lambda: stream.closed, "the echo")
        self.assertEqual(bytes(stream.data), b"alive")
