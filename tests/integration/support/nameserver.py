# SPDX-License-Identifier: Apache-2.0
"""A name server on loopback that knows IPv4 addresses of a few names."""

import socket
import struct
import threading


class NameServer:
    def __init__(self, names):
        """@names: {"host.test": ["127.0.0.1", ...]}; others don't exist."""
        self.names = names
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
            self._sock.sendto(self._answer(query), peer)

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, question = query[at + 2], query[12:at + 5]
        known = self.names.get(".".join(labels).lower())
        found = known if known and kind == 1 else []
        flags = 0x8180 if known else 0x8183
        records = b"".join(struct.pack("!HHHIH", 0xc00c, 1, 1, 60, 4) + socket.inet_aton(ip)
                           for ip in found)
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records

    def close(self):
        self._sock.close()
