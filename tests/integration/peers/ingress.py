# SPDX-License-Identifier: Apache-2.0
"""A scripted edge as clients see it: TLS with ALPN h2, CONNECT, half-close both ways.

What happens to a request is decided by `answer`, a function (connection, stream) that runs
in a thread of its own. peers/edge.py is the side that agents see.
"""

import hashlib
import socket
import threading

from peers.h2conn import SETTING, H2Connection
from support.tlsca import server_context

OK = [(":status", "200")]


class Connection(H2Connection):
    def __init__(self, ingress, sock):
        super().__init__(sock, opener=False, settings={
            SETTING.MAX_CONCURRENT_STREAMS: 100, SETTING.INITIAL_WINDOW_SIZE: 1 << 20})
        self.ingress = ingress

    def on_request(self, stream):
        self.ingress.requests.append(stream.headers)
        threading.Thread(target=self.ingress.answer, args=(self, stream), daemon=True).start()

    def _headers(self, stream, event):
        super()._headers(stream, event)
        stream.raw_headers = list(event.headers)
        self.ingress.raw_requests.append(stream.raw_headers)


class Ingress:
    def __init__(self, authority, answer, name="ingress", alpn=("h2",), **names):
        self.context = server_context(*authority.issue(name, **names))
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        self.answer = answer
        self.requests, self.raw_requests = [], []
        self.connections = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = Connection(self, tls)
            self.connections.append(connection)
            connection.start()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in self.connections:
            connection.close()


# ---- answers ----

def refuse(status, error=None):
    def answer(conn, stream):
        headers = [(":status", status), ("content-length", "0")]
        conn.respond(stream, headers + ([("adit-error", error)] if error else []), end=True)
    return answer


def echo(conn, stream):
    """Bytes come back as they arrive, the end after the end. Not from on_data: the connection's
    thread would wait for credit that only it can read."""
    conn.respond(stream, OK)
    at, ended = 0, False
    while not ended:
        with conn.lock:
            while len(stream.data) == at and not (stream.closed or conn.closed):
                conn.lock.wait()
            data, ended = bytes(stream.data[at:]), stream.closed or conn.closed
        at += len(data)
        if not conn.send(stream, data, end=ended):
            return


def digest(conn, stream):
    """After the end the SHA-256 of what came, in hexadecimal."""
    sha = hashlib.sha256()
    with conn.lock:
        sha.update(bytes(stream.data))
        stream.on_data = sha.update
    conn.respond(stream, OK)
    conn.wait(lambda: stream.closed, "the client's end")
    conn.send(stream, sha.hexdigest().encode(), end=True)
