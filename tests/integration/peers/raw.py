# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, for what no library would send."""

import struct

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _number(n, prefix_bits):
    most = (1 << prefix_bits) - 1
    if n < most:
        return bytes([n])
    out, n = bytes([most]), n - most
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def fields(*pairs):
    """HPACK, literals only, of any bytes."""
    def text(value):
        value = value if isinstance(value, bytes) else value.encode()
        return _number(len(value), 7) + value
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)


def kinds(data):
    """The types of the frames in @data."""
    out, at = [], 0
    while at + 9 <= len(data):
        out.append(data[at + 3])
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return out
