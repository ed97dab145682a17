# SPDX-License-Identifier: Apache-2.0
"""A proxy's client, byte by byte: SOCKS5 and HTTP CONNECT."""

import base64
import socket
import struct

from support.stack import HOST
from support.waiting import DEADLINE_S, wait_until

NO_AUTH, PASSWORD = 0, 2
CONNECT, BIND, UDP = 1, 2, 3


def address(host, port):
    """As a SOCKS address: IPv4, IPv6 or a name."""
    for kind, family in ((1, socket.AF_INET), (4, socket.AF_INET6)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host) + struct.pack("!H", port)
        except OSError:
            pass
    return bytes([3, len(host)]) + host.encode() + struct.pack("!H", port)


def request(host=HOST, port=22, command=CONNECT):
    return bytes([5, command, 0]) + address(host, port)


def login(user, password="x"):
    return bytes([1, len(user)]) + user.encode() + bytes([len(password)]) + password.encode()


class Wire:
    """A connection to the proxy."""

    def __init__(self, case, port, host="127.0.0.1"):
        self.case = case
        self.sock = socket.create_connection((host, port), DEADLINE_S)
        self.sock.settimeout(DEADLINE_S)
        case.addCleanup(self.sock.close)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def read(self, n):
        got = b""
        while len(got) < n:
            piece = self.sock.recv(n - len(got))
            if not piece:
                raise AssertionError(f"ended after {got!r}")
            got += piece
        return got

    def rest(self):
        got = b""
        while piece := self.sock.recv(65536):
            got += piece
        return got

    def end(self):
        self.sock.shutdown(socket.SHUT_WR)

    def expect(self, data):
        self.case.assertEqual(self.read(len(data)), data)
        return self

    def expect_closed(self):
        try:
            self.case.assertEqual(self.sock.recv(1), b"")
        except ConnectionResetError:
            pass

    # ---- SOCKS ----

    def greet(self, user=None):
        if user is None:
            return self.send(bytes([5, 1, NO_AUTH])).expect(bytes([5, NO_AUTH]))
        self.send(bytes([5, 2, NO_AUTH, PASSWORD])).expect(bytes([5, PASSWORD]))
        return self.send(login(user)).expect(b"\1\0")

    def reply(self):
        """(code, host, port) of the answer to a request."""
        version, code, _, kind = self.read(4)
        self.case.assertEqual(version, 5)
        family, n = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        host = socket.inet_ntop(family, self.read(n))
        return code, host, struct.unpack("!H", self.read(2))[0]

    def connect(self, host=HOST, port=22, user=None):
        self.greet(user).send(request(host, port))
        self.case.assertEqual(self.reply(), (0, "0.0.0.0", 0))
        return self

    # ---- HTTP ----

    def head(self):
        """(status, headers) of a response."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += self.read(1)
        first, *lines = got.decode().split("\r\n")[:-2]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers

    def refusal(self):
        """(status, headers, text), and then nothing."""
        status, headers = self.head()
        text = self.rest().decode()
        self.case.assertEqual(len(text), int(headers["content-length"]))
        self.case.assertEqual(headers["connection"], "close")
        return status, headers, text

    def http_connect(self, target=f"{HOST}:22", *headers):
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers, "", ""]
        return self.send("\r\n".join(lines).encode())


def basic(user):
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{user}:x".encode()).decode()


class Association:
    """A SOCKS UDP association."""

    def __init__(self, case, proxy, user=None, port=0):
        host, _, proxy_port = proxy.rpartition(":")
        self.wire = Wire(case, int(proxy_port), host).greet(user)
        self.wire.send(request("0.0.0.0", port, command=UDP))
        code, *self.relay = self.wire.reply()
        case.assertEqual((code, self.relay[0]), (0, "127.0.0.1"))
        self.sock = self.socket(case)

    @staticmethod
    def socket(case, port=0):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(sock.close)
        sock.bind(("127.0.0.1", port))
        sock.settimeout(0.5)
        return sock

    def send(self, data, host=HOST, port=53, fragment=0, sock=None):
        (sock or self.sock).sendto(bytes([0, 0, fragment]) + address(host, port) + data,
                                   tuple(self.relay))

    def receive(self, sock=None):
        """(source, payload), or None when nothing has come for a while."""
        try:
            got = (sock or self.sock).recv(65536)
        except TimeoutError:
            return None
        return socket.inet_ntoa(got[4:8]), struct.unpack("!H", got[8:10])[0], got[10:]

    def ask(self, data, host=HOST, **options):
        """The answer; what gets lost, while the link comes up, is sent again."""
        def answered():
            self.send(data, host, **options)
            while got := self.receive(options.get("sock")):
                if got[2].endswith(data):
                    return got
            return None
        return wait_until(answered, f"the answer to {data[:20]!r}")
