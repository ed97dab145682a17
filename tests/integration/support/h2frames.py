# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames and HPACK literals by hand, for what no library would send (RFC 9113, 7541)."""

import struct
from collections import namedtuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION) = range(10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
WHOLE = END_STREAM | END_HEADERS    # a request without a body in one frame

# SETTINGS (6.5.2, RFC 8441 3)
(TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST) = range(1, 7)
CONNECT_PROTOCOL = 8

CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
         "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
         "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")

Frame = namedtuple("Frame", "kind flags stream payload")


def head(length, kind, flags=0, stream=0):
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, flags, stream)


def frame(kind, flags=0, stream=0, payload=b""):
    return head(len(payload), kind, flags, stream) + payload


def u32(number):
    return struct.pack(">I", number)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def code_of(name):
    return u32(CODES.index(name))


def split(rest):
    """Takes the whole frames out of the bytearray @rest."""
    frames = []
    while len(rest) >= 9:
        end = 9 + int.from_bytes(rest[:3], "big")
        if len(rest) < end:
            break
        kind, flags, stream = struct.unpack(">BBI", rest[3:9])
        frames.append(Frame(kind, flags, stream & 0x7FFFFFFF, bytes(rest[9:end])))
        del rest[:end]
    return frames


def kinds(data):
    """The types of the whole frames in @data."""
    return [received.kind for received in split(bytearray(data))]


# ---- HPACK ----

def integer(number, prefix_bits, first=0):
    """RFC 7541 5.1; @first: the bits above the prefix."""
    most = (1 << prefix_bits) - 1
    if number < most:
        return bytes([first | number])
    out, number = bytes([first | most]), number - most
    while number >= 128:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return integer(len(value), 7) + value


def fields(*pairs):
    """Literals without indexing, of any bytes: the peer's table stays as it was."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)
