# SPDX-License-Identifier: Apache-2.0
"""A scripted edge with stock behaviour: accepts agents, answers their RPC with captured bytes.

What it answers to a registration is decided per connection by an outcome, a function
(connection, call). TCP streams are opened by tests with Connection.open_tcp().
"""

import json
import socket
import threading

from peers import rpc
from peers.capnp import Struct, split
from peers.h2conn import H2Connection
from peers.h2machine import SETTING
from support.tlsca import server_context
from support.waiting import DEADLINE_S, wait_until

META_ORIGIN = '{"src":"origin"}'
META_AGENT = '{"src":"cloudflared"}'
ADIT_EDGE = ("adit-edge", "1")


# ---- outcomes of a registration ----

def _golden_return(scenario, connection, index=1):
    def outcome(conn, call):
        message = rpc.golden(scenario, connection, "edge2agent")[index]
        conn.reply(rpc.patch_id(message, call.id))
    return outcome


success = _golden_return("success", 0)
remotely_managed = _golden_return("remote", 0)
duplicate = _golden_return("reg-dup", 0)            # cause "EDUPCONN"
permanent = _golden_return("reg-perm", 0)           # shouldRetry false
retry_later = _golden_return("reg-retry", 0)        # shouldRetry, retryAfter


def refuse(cause, should_retry=False, retry_after_ns=0):
    return lambda conn, call: conn.reply(rpc.error(call.id, cause, should_retry, retry_after_ns))


def unauthorized(conn, call):
    conn.reply(rpc.error(call.id, "Unauthorized: Failed to get tunnel"))


def exception(conn, call):
    conn.reply(rpc.exception(call.id, "the edge is on fire"))


def silence(conn, call):
    """Never answers: the agent's time-out decides."""


def abort(conn, call):
    conn.reply(rpc.abort("no more"))


def garbage(conn, call):
    conn.reply(b"\xff" * 64)


def hang_up(conn, call):
    conn.close()


def then_hang_up(outcome):
    def both(conn, call):
        outcome(conn, call)
        conn.close()
    return both


# ---- the connection of one agent ----

class Connection(H2Connection):
    def __init__(self, edge, sock, outcome):
        settings = dict(edge.settings)
        super().__init__(sock, opener=True, settings=settings,
                         connection_window=edge.connection_window)
        self.edge, self.outcome = edge, outcome
        self.opens_control = edge.open_control
        self.registration = None    # what the agent sent
        self.local_config = None    # JSON text it pushed
        self.calls, self.messages = [], []
        self.advertised = []        # sets of routes
        self.control = None
        self.unregistered = False
        self.registered = False     # a success was answered and the Finish has come
        self.aborted = None         # reason of the agent's Abort
        self._rest = bytearray()
        self._finished = set()

    def on_start(self):
        if self.opens_control:
            self.open_control()

    def open_control(self):
        extra = [ADIT_EDGE] if self.edge.announce_adit else []
        self.control = self.open([
            (":authority", "origintunneld"), (":method", "GET"), (":path", "/"),
            (":scheme", "https"),
            ("cf-cloudflared-proxy-connection-upgrade", "control-stream")] + extra)
        self.control.on_data = self._control_data

    def reply(self, message):
        """Sends an RPC message in pieces of edge.rpc_piece bytes."""
        piece = self.edge.rpc_piece or 16384
        for at in range(0, len(message), piece):
            self._do(lambda: self.h2.send_data(self.control.id, message[at:at + piece]))

    def _control_data(self, data):
        self._rest += data
        for raw in split(self._rest):
            message = rpc.Message(raw)
            self.messages.append(message)
            self._dispatch(message)

    def _dispatch(self, message):
        if message.kind == rpc.BOOTSTRAP:
            self.reply(rpc.patch_id(rpc.golden("success", 0, "edge2agent")[0], message.id))
        elif message.kind == rpc.CALL:
            self.calls.append(message)
            self._call(message)
        elif message.kind == rpc.FINISH:
            self._finished.add(message.id)
        elif message.kind == rpc.ABORT:
            self.aborted = message.reason

    def _call(self, call):
        if call.interface == rpc.ROUTES and self.edge.announce_adit:
            self.advertised.append(rpc.Advertisement(call.params))
            self.edge.advertised.append((self.index(), self.advertised[-1]))
            self.edge.on_advertise(self, call)
        elif call.interface != rpc.REGISTRATION:
            self.reply(rpc.exception(call.id, "no such interface", kind=3))
        elif call.method == rpc.REGISTER:
            self.registration = rpc.Registration.decode(call.params)
            self.outcome(self, call)
            self.registered = self.outcome in (success, remotely_managed)
        elif call.method == rpc.LOCAL_CONFIG:
            self.local_config = call.params.bytes(0).decode()
            self.reply(rpc.results(call.id, Struct(0, 0)))
        elif call.method == rpc.UNREGISTER:
            self.unregistered = True
            self.edge.on_unregister(self, call)

    def index(self):
        return self.registration.index if self.registration else None

    # ---- streams ----

    def open_tcp(self, authority, extra=()):
        return self.open([(":authority", authority), (":method", "GET"), (":path", "/"),
                          (":scheme", "https"),
                          ("cf-cloudflared-proxy-src", "100.96.0.1"),
                          ("cf-ray", "8a0000000000000a-LAX")] + list(extra))

    def wait_answer(self, stream, deadline_s=DEADLINE_S):
        self.wait(lambda: "headers" in stream.log or stream.closed or self.closed,
                  f"the answer on stream {stream.id}", deadline_s)
        return stream.headers

    def wait_end(self, stream, deadline_s=DEADLINE_S):
        self.wait(lambda: stream.closed or self.closed, f"the end of stream {stream.id}",
                  deadline_s)

    def push_config(self, body):
        """update-configuration; returns (status, headers, body bytes)."""
        stream = self.open([
            (":authority", "origintunneld"), (":method", "PUT"), (":path", "/"),
            (":scheme", "https"),
            ("cf-cloudflared-proxy-connection-upgrade", "update-configuration")])
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(stream, text, end=True)
        self.wait_end(stream)
        return stream.headers.get(":status"), stream.headers, bytes(stream.data)


def answer_unregister(conn, call):
    conn.reply(rpc.results(call.id, Struct(0, 0)))


def answer_unregister_and_close(conn, call):
    """As an edge should: Return, then TCP is closed at once (no streams are awaited)."""
    answer_unregister(conn, call)
    conn.close()


def accept_all(conn, call):
    ad = conn.advertised[-1]
    conn.reply(rpc.verdicts(call.id, [""] * (len(ad.networks) + len(ad.routes))))


class Edge:
    """Listens with a certificate of @authority, made with the options @issue. `outcomes`: one
    per connection in order of arrival, the last goes on for ever."""

    def __init__(self, authority, outcomes=(success,), announce_adit=False, window=1 << 24,
                 connection_window=1 << 30, name="edge", issue=None, port=0):
        self.context = server_context(*authority.issue(name, **(issue or {})))
        self.outcomes = list(outcomes)
        self.announce_adit, self.open_control = announce_adit, True
        self.rpc_piece = None
        self.connection_window = connection_window
        self.settings = {SETTING.ENABLE_PUSH: 0, SETTING.INITIAL_WINDOW_SIZE: window}
        self.connection = Connection    # or what else takes (edge, socket, outcome)
        self.on_advertise = accept_all
        self.on_unregister = answer_unregister_and_close
        self.connections = []
        self.advertised = []        # (index, Advertisement) of all connections, in order
        self.server_names = []
        self.context.sni_callback = self._note_name
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _note_name(self, sock, name, context):
        self.server_names.append(name)

    def _run(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                self._listener.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            with self._lock:
                outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
                conn = self.connection(self, tls, outcome)
                self.connections.append(conn)
            conn.start()

    def registered(self):
        """Live registered connections, by their index."""
        with self._lock:
            return {c.index(): c for c in self.connections if c.registered and not c.closed}

    def wait_registered(self, n, deadline_s=DEADLINE_S):
        wait_until(lambda: len(self.registered()) >= n, f"{n} registered connections", deadline_s,
                   lambda: "\n".join(f"{c.index()} closed={c.closed} error={c.error!r}"
                                     for c in self.connections))
        return self.registered()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        for conn in self.connections:
            conn.close()
