# SPDX-License-Identifier: Apache-2.0
"""A name server on loopback that knows addresses of a few names, and can fail in several ways."""

import socket
import struct
import threading

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
A, AAAA = 1, 28


class NameServer:
    """@names: {"host.test": ["127.0.0.1", "::1", ...]}; others don't exist, and an empty list is
    a name without addresses. @rcode: every answer fails with it. @delay_s: every answer is that
    late. @silent: there is none."""

    def __init__(self, names=(), rcode=None, delay_s=0, silent=False):
        self.names = dict(names)
        self.rcode, self.delay_s, self.silent = rcode, delay_s, silent
        self.n_queries = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                query, peer = self._sock.recvfrom(2048)
            except OSError:
                return
            if len(query) < 17:
                return
            self.n_queries += 1
            if self.silent:
                continue
            timer = threading.Timer(self.delay_s, self._reply, (query, peer))
            timer.daemon = True
            timer.start()

    def _reply(self, query, peer):
        try:
            self._sock.sendto(self._answer(query), peer)
        except OSError:
            pass

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, question = query[at + 2], query[12:at + 5]
        known = self.names.get(".".join(labels).lower())
        rcode = self.rcode if self.rcode is not None else NXDOMAIN if known is None else NOERROR
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
        found = [socket.inet_pton(family, ip) for ip in known or []
                 if rcode == NOERROR and (":" in ip) == (kind == AAAA)] if family else []
        records = b"".join(struct.pack("!HHHIH", 0xc00c, kind, 1, 60, len(ip)) + ip
                           for ip in found)
        return query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(found), 0, 0) + \
            question + records

    def close(self):
        self._sock.close()
