# SPDX-License-Identifier: Apache-2.0
"""What adit is held against: TLS and nothing else (bench_relay.c), and stunnel."""

import shutil
import socket

from lib.process import Skip, poll


class Chain:
    """Two raw TLS relays in a row, as an edge and an agent are: @dials takes the user's TCP, @accepts
    has the origin behind it and is the one under test."""

    def __init__(self, tools, edge, mode, origin, inner_port, outer_port):
        program = tools.program("bench-relay")
        self.port = outer_port
        self.accepts = tools.child(
            (program, mode, "accept", "127.0.0.1", inner_port, *origin, edge.cert, edge.key),
            f"relay-{mode}-accept", ready="ready")
        self.dials = tools.child(
            (program, mode, "dial", "127.0.0.1", outer_port, "127.0.0.1", inner_port, edge.ca),
            f"relay-{mode}-dial", ready="ready")

    def entry(self):
        return "127.0.0.1", self.port


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Stunnel:
    """A pair of them: the client half takes TCP, the server half has the origin behind it."""

    def __init__(self, tools, edge, origin, inner_port, outer_port):
        program = shutil.which("stunnel")
        if not program:
            raise Skip("stunnel isn't installed")
        self.port = outer_port
        head = "foreground = yes\npid =\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
        server = tools.write("stunnel-server.conf", f"{head}[s]\naccept = 127.0.0.1:{inner_port}\n"
                             f"connect = {origin[0]}:{origin[1]}\ncert = {edge.cert}\n"
                             f"key = {edge.key}\n")
        client = tools.write("stunnel-client.conf", f"{head}[c]\nclient = yes\n"
                             f"accept = 127.0.0.1:{outer_port}\n"
                             f"connect = 127.0.0.1:{inner_port}\nCAfile = {edge.ca}\n"
                             "verifyChain = yes\n")
        self.server = tools.child((program, server), "stunnel-server")
        self.client = tools.child((program, client), "stunnel-client")
        for port in (inner_port, outer_port):
            poll(lambda p=port: answers(p), "stunnel to listen")

    def entry(self):
        return "127.0.0.1", self.port
