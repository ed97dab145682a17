# SPDX-License-Identifier: Apache-2.0
"""Local TCP servers that play the origin: each connection runs one behaviour in a thread."""

import hashlib
import random
import socket
import threading


class Origin:
    """Listens on 127.0.0.1 (or @host) and runs behaviour(socket) per connection."""

    def __init__(self, behaviour, host="127.0.0.1", receive_buffer=None):
        self.behaviour = behaviour
        self.errors, self.accepted = [], 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((host, 0))
        self._listener.listen(256)
        self.port = self._listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                break
            self.accepted += 1
            self.sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
        self._listener.close()

    def _serve(self, sock):
        try:
            self.behaviour(sock)
        except OSError as e:
            self.errors.append(e)
        finally:
            sock.close()

    def close(self):
        """Wakes all threads; each closes its own socket. Were it closed here, a thread on its way
        into recv() would read from whatever gets the descriptor's number next."""
        for sock in [self._listener, *self.sockets]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def digest_after_eof(sock):
    """Reads to the end, then answers with the SHA-256 of all it read."""
    digest = hashlib.sha256()
    while data := sock.recv(262144):
        digest.update(data)
    sock.sendall(digest.hexdigest().encode() + b"\n")


def reset(sock):
    """Reads a little, then resets the connection."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def send_all(data, at_once=False):
    """Sends @data and its end; reads on (@at_once: meanwhile) and puts the digest of what came
    into `received`."""
    received = []

    def send(sock):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    def behaviour(sock):
        sender = threading.Thread(target=send, args=(sock,), daemon=True)
        sender.start()
        if not at_once:
            sender.join()
        digest = hashlib.sha256()
        while piece := sock.recv(262144):
            digest.update(piece)
        sender.join()
        received.append(digest.hexdigest())
    behaviour.received = received
    return behaviour


def fountain(sock):
    """Sends without end, reads nothing."""
    block = bytes(65536)
    while True:
        sock.sendall(block)


def silent_port(case):
    """A port of loopback that answers no SYN, because its backlog is full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    case.addCleanup(listener.close)
    for _ in range(4):
        sock = socket.socket()
        case.addCleanup(sock.close)
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
    return listener.getsockname()[1]


def stall(event):
    """Reads nothing until @event is set, then everything."""
    def behaviour(sock):
        event.wait()
        while sock.recv(262144):
            pass
    return behaviour


def pattern(n, seed=1):
    """@n bytes that neither compress nor repeat, the same for the same @seed."""
    return random.Random(seed).randbytes(n)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
