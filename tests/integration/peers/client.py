# SPDX-License-Identifier: Apache-2.0
"""A scripted client of the edge: TLS with ALPN h2, CONNECT with a bearer token."""

import json
import socket

from peers.h2conn import H2Connection
from peers.h2machine import SETTING
from support.tlsca import client_context


class Client(H2Connection):
    def __init__(self, edge, ca_file, token=None, window=1 << 24, name="127.0.0.1",
                 source=None):
        raw = socket.create_connection(edge, 15, source and (source, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = client_context(ca_file, ["h2"]).wrap_socket(raw, server_hostname=name,
                                                          do_handshake_on_connect=False)
        super().__init__(tls, opener=True, settings={
            SETTING.ENABLE_PUSH: 0, SETTING.INITIAL_WINDOW_SIZE: window})
        self.token = token

    def connect(self, authority, token=None, network=None, extra=()):
        """CONNECT; @token overrides the connection's, "" sends none."""
        token = self.token if token is None else token
        headers = [(":method", "CONNECT"), (":authority", authority)]
        if token:
            headers.append(("proxy-authorization", f"Bearer {token}"))
        if network:
            headers.append(("adit-virtual-network", network))
        return self.open(headers + list(extra))

    def get(self, path):
        headers = [(":method", "GET"), (":scheme", "https"), (":authority", "edge"),
                   (":path", path), ("proxy-authorization", f"Bearer {self.token}")]
        return self.open(headers, end=True)

    def answer(self, stream):
        """(status, adit-error) once the response is there."""
        self.wait(lambda: "headers" in stream.log or stream.closed or self.closed,
                  f"the answer on stream {stream.id}")
        return stream.headers.get(":status"), stream.headers.get("adit-error")


def load_token(path):
    """The token in the credentials file of a user."""
    with open(path, encoding="utf-8") as f:
        return json.load(f)["token"]
