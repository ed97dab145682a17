# SPDX-License-Identifier: Apache-2.0
"""A scripted agent that behaves as stock cloudflared: it dials, and serves HTTP/2.

Its habits, on purpose: no ALPN; 1 MiB windows for stream and connection, credited when the
origin took the bytes; no half-close; END_STREAM and RST_STREAM(NO_ERROR) when the origin
ends first; TCP left open after a failed registration and after unregister; new streams
still served after unregister.
"""

import base64
import ipaddress
import json
import os
import queue
import socket
import threading
import uuid

from peers import rpc
from peers.capnp import split
from peers.h2conn import H2Connection
from peers.h2machine import SETTING
from support.tlsca import client_context

SETTINGS = {SETTING.MAX_FRAME_SIZE: 1048576, SETTING.MAX_CONCURRENT_STREAMS: 4294967295,
            SETTING.MAX_HEADER_LIST_SIZE: 1048896, SETTING.HEADER_TABLE_SIZE: 4096,
            SETTING.INITIAL_WINDOW_SIZE: 1048576, 9: 1}
DATE = ("date", "Sun, 22 Nov 2026 17:05:03 GMT")
ACK = [(":status", "200"), ("cf-cloudflared-response-headers", ""),
       ("cf-cloudflared-response-meta", '{"src":"origin"}'), DATE]
REFUSAL = [(":status", "502"), ("cf-cloudflared-response-meta", '{"src":"cloudflared"}'),
           ("content-length", "0"), DATE]


class _Flow:
    """One TCP stream: two threads, as Go's proxy has two goroutines."""

    def __init__(self, agent, stream, target):
        self.agent, self.stream, self.target = agent, stream, target
        self.inbox = queue.Queue()
        self.over = False
        stream.auto_credit = False
        stream.on_data = self.inbox.put
        stream.on_end = lambda: self.inbox.put(None)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            self.sock = socket.create_connection(self.target, 5)
        except OSError:
            self.agent.refuse(self.stream)
            return
        self.sock.settimeout(None)
        self.agent.respond(self.stream, ACK)
        threading.Thread(target=self._to_origin, daemon=True).start()
        self._from_origin()
        self.sock.close()

    def _to_origin(self):
        while (data := self.inbox.get()) is not None:
            try:
                self.sock.sendall(data)
            except OSError:
                break
            self.agent.credit(self.stream, len(data))
        self._finish(by_edge=True)

    def _from_origin(self):
        try:
            while data := self.sock.recv(16384):
                if not self.agent.send(self.stream, data, piece=16384, deadline_s=600):
                    break
        except OSError:
            pass
        self._finish(by_edge=False)

    def _finish(self, by_edge):
        with self.agent.lock:
            if self.over:
                return
            self.over = True
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if self.stream.reset is not None:
                return
            self.agent.end(self.stream)
            if not by_edge and not self.stream.ended:
                self.agent.reset(self.stream, 0)
            self.agent.credit(self.stream, self.stream.held)


class Agent(H2Connection):
    """One connection of a connector. @registration: peers.rpc.Registration. @resolve: maps the
    (ip, port) asked for to the address that is dialled."""

    def __init__(self, edge, ca_file, registration, resolve=None, captured=True, auto=True,
                 source=None):
        raw = socket.create_connection(edge, 15, source and (source, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = raw.getsockname()[1]
        tls = client_context(ca_file).wrap_socket(raw, server_hostname="h2.cftunnel.com",
                                                  do_handshake_on_connect=False)
        super().__init__(tls, opener=False, settings=SETTINGS, connection_window=1048576)
        self.registration, self.resolve = registration, resolve or (lambda target: target)
        self.captured, self.auto = captured, auto
        self.control = None
        self.control_headers = {}
        self.returns = []           # decoded Return messages, in order
        self.details = None         # (uuid, location, remotely managed)
        self.refused = None         # (cause, should_retry, retry_after_ns)
        self.exception = None
        self.edge_abort = None
        self.flows = []
        self.configs = []           # bodies of update-configuration
        self._rest = bytearray()
        self._next = 1

    # ---- RPC ----

    def on_request(self, stream):
        upgrade = stream.headers.get("cf-cloudflared-proxy-connection-upgrade")
        if upgrade == "update-configuration":
            stream.on_end = lambda: self._config(stream)
        elif "cf-cloudflared-proxy-src" in stream.headers:
            self._tcp(stream)
        elif upgrade == "control-stream" and self.control is None:
            self._control(stream)
        else:
            self.refuse(stream)

    def _control(self, stream):
        self.control, self.control_headers = stream, dict(stream.headers)
        stream.on_data = self._control_data
        self.respond(stream, [(":status", "200"), ("content-type", "application/octet-stream"),
                              DATE])
        if self.auto:
            self.register()

    def tell(self, message):
        for at in range(0, len(message), 16384):
            piece = message[at:at + 16384]
            self._do(lambda: self.h2.send_data(self.control.id, piece))

    def register(self):
        """Bootstrap and the pipelined call; with `captured` in cloudflared's own bytes."""
        self.tell(rpc.golden("success", 0, "agent2edge")[0] if self.captured else rpc.bootstrap())
        self.tell(self.registration_call())

    def registration_call(self):
        built = rpc.call(1, rpc.REGISTER, self.registration.encode(), pipelined_on=0)
        if not self.captured:
            return built
        call = bytearray(rpc.golden("success", 0, "agent2edge")[1])
        old = rpc.Registration.decode(rpc.Message(bytes(call)).params)
        new = self.registration
        for before, after in ((old.account.encode(), new.account.encode()),
                              (old.secret, new.secret), (old.tunnel_id, new.tunnel_id),
                              (old.client_id, new.client_id)):
            if len(before) != len(after) or call.count(before) != 1:
                return built
            at = call.index(before)
            call[at:at + len(after)] = after
        call[8 + 16 * 8] = new.index
        return bytes(call)

    def _control_data(self, data):
        self._rest += data
        for raw in split(self._rest):
            message = rpc.Message(raw)
            if message.kind == rpc.RETURN:
                self._returned(message)
            elif message.kind == rpc.ABORT:
                self.edge_abort = message.reason

    def _returned(self, message):
        self.returns.append(message)
        self.tell(rpc.finish(message.id))
        if message.outcome == rpc.EXCEPTION:
            self.exception = message.reason
        elif message.id == 1 and self.details is None and self.refused is None:
            self._registered(message.results.struct(0))

    def _registered(self, response):
        inner = response.struct(0)
        if response.get("H", 0) == 1:
            self.details = (inner.bytes(0), inner.text(1), bool(inner.get("B", 0) & 1))
            return
        self.refused = (inner.text(0), bool(inner.get("B", 8) & 1), inner.get("q", 0))
        self.goodbye()

    def wait_registered(self):
        self.wait(lambda: self.details or self.refused or self.exception or self.closed,
                  "the answer to registerConnection")
        return self.details

    def push_config(self, json_text):
        self.tell(rpc.call(1, rpc.LOCAL_CONFIG, rpc.local_config(json_text)))

    def unregister(self):
        """In captured bytes; the answer is returns[-1]."""
        self.tell(rpc.golden("success", 0, "agent2edge")[6])

    def goodbye(self):
        """Release, Abort, END_STREAM, RST_STREAM; TCP stays open (G1)."""
        self.tell(rpc.golden("success", 0, "agent2edge")[8])
        self.tell(rpc.abort())
        self.end(self.control)
        self.reset(self.control, 0)

    # ---- other streams ----

    def _config(self, stream):
        if stream.reset is not None:
            return
        self.configs.append(bytes(stream.data))
        body = b'{"lastAppliedVersion":1,"err":null}'
        self.respond(stream, [(":status", "200"), ("content-type", "text/plain; charset=utf-8"),
                              ("content-length", str(len(body))), DATE])
        self.send(stream, body, end=True)

    def _tcp(self, stream):
        try:
            host, _, port = stream.headers[":authority"].rpartition(":")
            target = (str(ipaddress.ip_address(host.strip("[]"))), int(port))
        except (KeyError, ValueError):
            self.refuse(stream)
            return
        self.flows.append(_Flow(self, stream, self.resolve(target)))

    def refuse(self, stream):
        self.respond(stream, REFUSAL, end=True)
        if not stream.ended:
            self.reset(stream, 0)


def new_client_id():
    return os.urandom(16)


def load_registration(path, index=0, client_id=None):
    """What an agent with the credentials file @path sends."""
    with open(path, encoding="utf-8") as f:
        credentials = json.load(f)
    return rpc.Registration(credentials["AccountTag"],
                            base64.b64decode(credentials["TunnelSecret"]),
                            uuid.UUID(credentials["TunnelID"]).bytes, index,
                            client_id or new_client_id(),
                            ["serialized_headers", "allow_remote_config"])
