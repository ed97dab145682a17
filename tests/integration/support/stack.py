# SPDX-License-Identifier: Apache-2.0
"""Edge, agent and a user's credentials, up and Healthy: where most tests begin."""

import socket
import subprocess

from peers.client import Client, load_token
from support import adit, origin
from support.tlsca import client_context

HOST = "10.116.0.3"     # what tests ask for; `via` maps it to something on loopback


class Stack:
    """HOST is advertised by the agent and leads to 127.0.0.1:@target_port. @edges: makes the
    agent's `edge:` from the Edge, to put something on the path."""

    def __init__(self, case, target_port, settings="", edge_settings="", edges=None, start=True):
        self.case = case
        self.edge = adit.Edge(case, settings=edge_settings).start()
        self.tunnel = self.edge.create_tunnel()
        self.client = self.edge.create_client()
        self.routes = [adit.route(f"{HOST}/32", via=f"127.0.0.1:{target_port}")]
        self.agent = adit.Agent(case, edges(self.edge) if edges else self.edge.address,
                                self.edge.ca_file, self.tunnel, adit.routes(*self.routes),
                                settings=settings)
        if start:
            self.agent.start().wait_state("Healthy")
            self.agent.wait_accepted()

    def connect_argv(self, host=HOST, port=22, *extra):
        return adit.connect_argv(host, port, self.client, *extra)

    def connect(self, data=b"", host=HOST, port=22):
        """`adit connect` with @data on stdin."""
        return adit.connect(host, port, self.client, data)

    def popen(self, host=HOST, port=22, **options):
        """A running `adit connect` with pipes."""
        return self.case.start(f"connect-{len(self.case.processes)}",
                               self.connect_argv(host, port), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, bufsize=0, **options)

    def scripted_client(self, **options):
        client = Client(("127.0.0.1", self.edge.port), self.edge.ca_file,
                        load_token(self.client), **options)
        self.case.addCleanup(client.close)
        return client.start()


def dial_tls(case, edge, data=b"", alpn=("h2",)):
    """A TLS connection to @edge, as clients make it, on which @data was sent."""
    sock = socket.create_connection(("127.0.0.1", edge.port), 60)
    tls = client_context(edge.ca_file, list(alpn)).wrap_socket(sock, server_hostname="127.0.0.1")
    case.addCleanup(tls.close)
    tls.sendall(data)
    return tls


def serve(case, behaviour, **options):
    server = origin.Origin(behaviour, **options)
    case.addCleanup(server.close)
    return server


def echo_line(process, text):
    """Sends a line through a running `adit connect` to an echo and reads it back."""
    line = text.encode() + b"\n"
    process.stdin.write(line)
    got = b""
    while not got.endswith(b"\n"):
        piece = process.stdout.read(4096)
        if not piece:
            raise AssertionError(f"the stream ended\n{process.log_tail()}")
        got += piece
    if got != line:
        raise AssertionError(f"sent {line!r}, got {got!r}")
