# SPDX-License-Identifier: Apache-2.0
"""Datagram streams of a scripted client: extended CONNECT, capsules, and what came back.

Written from RFC 9297, RFC 9298 and docs/protocol.md, independently of wire/capsule.c.
"""

import socket
import threading

DATAGRAM, ICMP_ERROR = 0, 0x0AD17E01


def varint(v):
    for bits, prefix in ((6, 0), (14, 1), (30, 2), (62, 3)):
        if v < 1 << bits:
            n = (bits + 2) // 8
            return (v | prefix << bits).to_bytes(n, "big")
    raise ValueError(v)


def read_varint(data, at):
    """(value, next position), or None when it isn't all there."""
    if at >= len(data):
        return None
    n = 1 << (data[at] >> 6)
    if at + n > len(data):
        return None
    return int.from_bytes(data[at:at + n], "big") & (1 << (8 * n - 2)) - 1, at + n


def capsule(kind, value):
    return varint(kind) + varint(len(value)) + value


def datagram(payload, context=0):
    return capsule(DATAGRAM, varint(context) + payload)


def udp_path(ip, port):
    return f"/.well-known/masque/udp/{ip.replace(':', '%3A')}/{port}/"


def echo_path(ip):
    return f"/.well-known/adit/echo/{ip.replace(':', '%3A')}/"


class Flow:
    """One datagram stream of @client (peers/client.py)."""

    def __init__(self, client, protocol, path, extra=(), token=None):
        self.client = client
        self.datagrams, self.icmp_errors, self.others = [], [], []
        self._buffer = bytearray()
        headers = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"),
                   (":authority", "edge"), (":path", path), ("capsule-protocol", "?1")]
        token = client.token if token is None else token
        if token:
            headers.append(("proxy-authorization", f"Bearer {token}"))
        # Only then may a client send ":protocol" (RFC 8441 3).
        client.wait(lambda: client.peer_settings.get(8) == 1 or client.closed,
                    "the edge to allow extended CONNECT")
        with client.lock:
            self.stream = client.open(headers + list(extra))
            self.stream.on_data = self._take

    def answer(self):
        return self.client.answer(self.stream)

    def send(self, payload):
        return self.client.send(self.stream, datagram(payload))

    def send_bytes(self, data):
        return self.client.send(self.stream, data)

    def wait(self, condition, what):
        self.client.wait(condition, what)

    def wait_datagrams(self, n):
        self.wait(lambda: len(self.datagrams) >= n or self.stream.closed,
                  f"{n} datagrams, have {len(self.datagrams)}")
        if len(self.datagrams) < n:
            raise AssertionError(f"the stream ended before datagram {n}: {self.stream.log}, "
                                 f"ICMP errors {self.icmp_errors}")
        return self.datagrams

    def ask(self, payload):
        """Sends one and returns the next one that comes back."""
        n = len(self.datagrams)
        self.send(payload)
        return self.wait_datagrams(n + 1)[n]

    def _take(self, data):
        self._buffer += data
        at = 0
        while True:
            kind = read_varint(self._buffer, at)
            length = read_varint(self._buffer, kind[1]) if kind else None
            if not length or len(self._buffer) - length[1] < length[0]:
                break
            value = bytes(self._buffer[length[1]:length[1] + length[0]])
            at = length[1] + length[0]
            self._sort(kind[0], value)
        del self._buffer[:at]

    def _sort(self, kind, value):
        if kind == ICMP_ERROR:
            self.icmp_errors.append((value[0], value[1]))
        elif kind == DATAGRAM and value[:1] == b"\0":
            self.datagrams.append(value[1:])
        else:
            self.others.append((kind, value))


class UdpEcho:
    """Sends every datagram back to whom it came from; remembers them all."""

    def __init__(self, case, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                                    socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.received, self.peers = [], set()
        threading.Thread(target=self._run, daemon=True).start()
        case.addCleanup(self.close)

    def _run(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(65536)
            except OSError:
                return
            if data == b"\0close" or self.socket.fileno() < 0:
                return
            self.received.append(data)
            self.peers.add(peer)
            self.socket.sendto(data, peer)

    def close(self):
        """A datagram wakes the thread; it then leaves."""
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as s:
            s.sendto(b"\0close", self.socket.getsockname())
