# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 and 7541 as a table: what is sent in which state, and what has to come of it.

A case is sent on a connection in its state; `p` tells it what that connection has:

  p.s         the stream the state is about; for IDLE the next number that nobody has used
  p.plain     fields of a request that the peer refuses by itself, p.request of one that it serves
  p.largest   the peer's SETTINGS_MAX_FRAME_SIZE
  p.opener    the peer is the HTTP/2 client

The outcome: "GOAWAY <code>" and the connection closed, "RST <code>" on p.s, "closed" without
an error, "answered" by HEADERS on p.s, or "ignored" when nothing of that has happened. More than
one: the RFC leaves the choice.
"""

from collections import namedtuple

from support.h2frames import (
    ACK, CONNECT_PROTOCOL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY,
    HAS_PRIORITY, HEADERS, INITIAL_WINDOW, MAX_FRAME, PADDED, PING, PREFACE, PRIORITY, PUSH, RST, SETTINGS,
    WHOLE, WINDOW, code_of, fields, frame, head, integer, settings, text, u32)

Case = namedtuple("Case", "name rule state send want")

# States of p.s: nothing was sent; open both ways; we have ended it and the peer hasn't; both
# have; we have reset it.
IDLE, OPEN, ENDED, CLOSED, RESET = "idle", "open", "half-closed (remote)", "closed", "reset"

PROTOCOL = "GOAWAY PROTOCOL_ERROR"
SIZE = "GOAWAY FRAME_SIZE_ERROR"
FLOW = "GOAWAY FLOW_CONTROL_ERROR"
STREAM_CLOSED = "GOAWAY STREAM_CLOSED"
HPACK = "GOAWAY COMPRESSION_ERROR"
MALFORMED = "RST PROTOCOL_ERROR"
IGNORED = "ignored"
ANSWERED = "answered"
NO_SUCH_FRAME = 0xBB
TOP = (1 << 31) - 1


def case(name, rule, send, *want, state=IDLE):
    return Case(name, rule, state, send if callable(send) else lambda p: send, want)


def request(p, *more, flags=WHOLE):
    return frame(HEADERS, flags, p.s, fields(*p.plain, *more))


def half(p):
    """A header block that isn't complete."""
    return request(p, flags=END_STREAM)


def goaway(p, last, debug=b""):
    """@last: of the streams that the peer opened; servers open none."""
    return frame(GOAWAY, 0, 0, u32(last if p.opener else 0) + code_of("NO_ERROR") + debug)


SIZES = [
    case("DATA over the limit", "4.2", lambda p: head(p.largest + 1, DATA, 0, p.s), SIZE,
         "RST FRAME_SIZE_ERROR", state=OPEN),
    case("DATA of the limit", "4.2", lambda p: frame(DATA, 0, p.s, bytes(p.largest)), IGNORED,
         state=OPEN),
    case("HEADERS over the limit", "4.2", lambda p: head(p.largest + 1, HEADERS, WHOLE, p.s), SIZE),
    case("SETTINGS over the limit", "4.2", lambda p: head(0xFFFFFF, SETTINGS), SIZE),
    case("unknown frame over the limit", "4.2", lambda p: head(0xFFFFFF, NO_SUCH_FRAME), SIZE),
    case("SETTINGS of 5 bytes", "6.5", frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    case("SETTINGS of 7 bytes", "6.5", frame(SETTINGS, 0, 0, bytes(7)), SIZE),
    case("SETTINGS ACK with a payload", "6.5", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    case("PING of 7 bytes", "6.7", frame(PING, 0, 0, bytes(7)), SIZE),
    case("PING of 9 bytes", "6.7", frame(PING, 0, 0, bytes(9)), SIZE),
    case("GOAWAY of 7 bytes", "6.8", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    case("RST_STREAM of 3 bytes", "6.4", lambda p: frame(RST, 0, p.s, bytes(3)), SIZE, state=OPEN),
    case("RST_STREAM of 5 bytes", "6.4", lambda p: frame(RST, 0, p.s, bytes(5)), SIZE, state=OPEN),
    case("WINDOW_UPDATE of 3 bytes", "6.9", frame(WINDOW, 0, 0, bytes(3)), SIZE),
    case("WINDOW_UPDATE of 5 bytes", "6.9", lambda p: frame(WINDOW, 0, p.s, bytes(5)), SIZE,
         state=OPEN),
    case("PRIORITY of 4 bytes", "6.3", lambda p: frame(PRIORITY, 0, p.s, bytes(4)),
         "RST FRAME_SIZE_ERROR", SIZE, state=OPEN),
    case("PRIORITY of 6 bytes", "6.3", lambda p: frame(PRIORITY, 0, p.s, bytes(6)),
         "RST FRAME_SIZE_ERROR", SIZE, state=OPEN),
]

EXTENSIONS = [
    case("unknown frame", "4.1", frame(NO_SUCH_FRAME, 0xFF, 0, b"x" * 8), IGNORED),
    case("unknown frame on a stream", "4.1", lambda p: frame(NO_SUCH_FRAME, 0xFF, p.s, b"x"),
         IGNORED, state=OPEN),
    case("unknown frame on an idle stream", "4.1", lambda p: frame(NO_SUCH_FRAME, 0, p.s), IGNORED),
    case("undefined flags", "4.1", frame(PING, 0xFE, 0, bytes(8)), IGNORED),
    case("undefined flags on DATA", "4.1", lambda p: frame(DATA, 0xF6, p.s, b"x"), IGNORED,
         state=OPEN),
    case("reserved bit", "4.1", lambda p: frame(DATA, 0, p.s | 1 << 31, b"x"), IGNORED, state=OPEN),
    case("PRIORITY on an idle stream", "5.1", lambda p: frame(PRIORITY, 0, p.s, bytes(5)), IGNORED),
    case("unknown setting", "6.5.2", settings((0xFFFF, 7), (0, 7)), IGNORED),
]

IDENTIFIERS = [
    case("DATA on stream 0", "6.1", frame(DATA, 0, 0, b"x"), PROTOCOL),
    case("HEADERS on stream 0", "6.2", lambda p: frame(HEADERS, WHOLE, 0, fields(*p.plain)),
         PROTOCOL),
    case("PRIORITY on stream 0", "6.3", frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    case("RST_STREAM on stream 0", "6.4", frame(RST, 0, 0, bytes(4)), PROTOCOL),
    case("CONTINUATION on stream 0", "6.10", frame(CONTINUATION, END_HEADERS, 0, b""), PROTOCOL),
    case("SETTINGS on a stream", "6.5", lambda p: frame(SETTINGS, 0, p.s), PROTOCOL),
    case("SETTINGS ACK on a stream", "6.5", lambda p: frame(SETTINGS, ACK, p.s), PROTOCOL),
    case("PING on a stream", "6.7", lambda p: frame(PING, 0, p.s, bytes(8)), PROTOCOL),
    case("GOAWAY on a stream", "6.8", lambda p: frame(GOAWAY, 0, p.s, bytes(8)), PROTOCOL),
]

STATES = [
    case("DATA on an idle stream", "5.1", lambda p: frame(DATA, 0, p.s, b"x"), PROTOCOL),
    case("RST_STREAM on an idle stream", "5.1", lambda p: frame(RST, 0, p.s, bytes(4)), PROTOCOL),
    case("WINDOW_UPDATE on an idle stream", "5.1", lambda p: frame(WINDOW, 0, p.s, u32(1)),
         PROTOCOL),
    case("CONTINUATION on an idle stream", "6.10",
         lambda p: frame(CONTINUATION, END_HEADERS, p.s, b""), PROTOCOL),
    case("DATA after the end", "5.1", lambda p: frame(DATA, 0, p.s, b"x"), "RST STREAM_CLOSED",
         STREAM_CLOSED, state=ENDED),
    case("HEADERS after the end", "5.1", lambda p: frame(HEADERS, WHOLE, p.s, fields(("a", "b"))),
         "RST STREAM_CLOSED", STREAM_CLOSED, state=ENDED),
    case("CONTINUATION after the end", "6.10",
         lambda p: frame(CONTINUATION, END_HEADERS, p.s, b""), PROTOCOL, state=ENDED),
    case("WINDOW_UPDATE after the end", "5.1", lambda p: frame(WINDOW, 0, p.s, u32(1)), IGNORED,
         state=ENDED),
    case("PRIORITY after the end", "5.1", lambda p: frame(PRIORITY, 0, p.s, bytes(5)), IGNORED,
         state=ENDED),
    case("RST_STREAM after the end", "5.1", lambda p: frame(RST, 0, p.s, code_of("CANCEL")), IGNORED,
         state=ENDED),
    # What comes for a closed stream may be an error, or on its way from before and dropped.
    case("DATA on a reset stream", "5.1", lambda p: frame(DATA, 0, p.s, b"x"), IGNORED,
         "RST STREAM_CLOSED", STREAM_CLOSED, state=RESET),
    case("WINDOW_UPDATE on a reset stream", "5.1", lambda p: frame(WINDOW, 0, p.s, u32(1)), IGNORED,
         STREAM_CLOSED, state=RESET),
    case("RST_STREAM on a reset stream", "5.1", lambda p: frame(RST, 0, p.s, code_of("CANCEL")),
         IGNORED, STREAM_CLOSED, state=RESET),
    case("PRIORITY on a reset stream", "5.1", lambda p: frame(PRIORITY, 0, p.s, bytes(5)), IGNORED,
         state=RESET),
    case("DATA on a closed stream", "5.1", lambda p: frame(DATA, 0, p.s, b"x"), IGNORED,
         "RST STREAM_CLOSED", STREAM_CLOSED, state=CLOSED),
    case("WINDOW_UPDATE on a closed stream", "5.1", lambda p: frame(WINDOW, 0, p.s, u32(1)), IGNORED,
         STREAM_CLOSED, state=CLOSED),
    case("PRIORITY on a closed stream", "5.1", lambda p: frame(PRIORITY, 0, p.s, bytes(5)), IGNORED,
         state=CLOSED),
    case("CONTINUATION on a closed stream", "6.10",
         lambda p: frame(CONTINUATION, END_HEADERS, p.s, b""), PROTOCOL, state=CLOSED),
]

PADDING = [
    case("DATA with padding", "6.1", lambda p: frame(DATA, PADDED, p.s, b"\3x" + bytes(3)), IGNORED,
         state=OPEN),
    case("DATA padded by all of it", "6.1", lambda p: frame(DATA, PADDED, p.s, b"\5abcde"), IGNORED,
         state=OPEN),
    case("DATA padded by more", "6.1", lambda p: frame(DATA, PADDED, p.s, b"\6abcde"), PROTOCOL,
         state=OPEN),
    case("DATA padded, empty", "6.1", lambda p: frame(DATA, PADDED, p.s), SIZE, PROTOCOL,
         state=OPEN),
]

SETTINGS_VALUES = [
    case("ENABLE_PUSH 2", "6.5.2", settings((ENABLE_PUSH, 2)), PROTOCOL),
    case("INITIAL_WINDOW_SIZE 2^31", "6.5.2", settings((INITIAL_WINDOW, 1 << 31)), FLOW),
    case("INITIAL_WINDOW_SIZE 2^32-1", "6.5.2", settings((INITIAL_WINDOW, (1 << 32) - 1)), FLOW),
    case("MAX_FRAME_SIZE 16383", "6.5.2", settings((MAX_FRAME, 16383)), PROTOCOL),
    case("MAX_FRAME_SIZE 2^24", "6.5.2", settings((MAX_FRAME, 1 << 24)), PROTOCOL),
    case("ENABLE_CONNECT_PROTOCOL 2", "RFC 8441 3", settings((CONNECT_PROTOCOL, 2)), PROTOCOL),
    case("all at their bounds", "6.5.2", settings((ENABLE_PUSH, 0), (INITIAL_WINDOW, TOP),
                                                  (MAX_FRAME, 16384), (MAX_FRAME, 0xFFFFFF)),
         IGNORED),
]

WINDOWS = [
    case("WINDOW_UPDATE of 0", "6.9", frame(WINDOW, 0, 0, u32(0)), PROTOCOL),
    # A stream error may be made one of the connection (5.4.1).
    case("WINDOW_UPDATE of 0 on a stream", "6.9", lambda p: frame(WINDOW, 0, p.s, u32(0)),
         MALFORMED, PROTOCOL, state=OPEN),
    case("window overflow", "6.9.1", frame(WINDOW, 0, 0, u32(TOP)) * 2, FLOW),
    case("window overflow of a stream", "6.9.1", lambda p: frame(WINDOW, 0, p.s, u32(TOP)) * 2,
         "RST FLOW_CONTROL_ERROR", state=OPEN),
    case("window overflow by SETTINGS", "6.9.2",
         lambda p: settings((INITIAL_WINDOW, 100)) + frame(WINDOW, 0, p.s, u32(TOP - 100)) +
         settings((INITIAL_WINDOW, 101)), FLOW, state=OPEN),
    case("window below zero by SETTINGS", "6.9.2", settings((INITIAL_WINDOW, 0)), IGNORED,
         state=OPEN),
]

CONTROL = [
    case("PING ACK that nobody asked for", "6.7", frame(PING, ACK, 0, bytes(8)), IGNORED),
    # The RFC doesn't say.
    case("SETTINGS ACK that nobody asked for", "6.5.3", frame(SETTINGS, ACK), IGNORED, PROTOCOL),
    case("empty SETTINGS", "6.5", frame(SETTINGS), IGNORED),
    case("DATA without bytes", "6.1", lambda p: frame(DATA, 0, p.s), IGNORED, state=OPEN),
    case("GOAWAY", "6.8", lambda p: goaway(p, TOP) + frame(DATA, 0, p.s, b"x"), IGNORED,
         state=OPEN),
    case("GOAWAY twice, with debug data", "6.8",
         lambda p: goaway(p, TOP, b"soon") + goaway(p, p.s, b"now"), IGNORED, state=OPEN),
    case("PUSH_PROMISE", "8.4", lambda p: frame(PUSH, END_HEADERS, p.s, u32(2) + fields(*p.plain)),
         PROTOCOL, state=OPEN),
    case("PUSH_PROMISE on stream 0", "6.6",
         lambda p: frame(PUSH, END_HEADERS, 0, u32(2) + fields(*p.plain)), PROTOCOL),
]

# What comes instead of a preface (who opens sends one) and SETTINGS. The RFC lets the GOAWAY
# be left out; ours never is.
BEGINNINGS = [
    case("no preface", "3.4", frame(SETTINGS), PROTOCOL),
    case("preface with another end", "3.4", PREFACE[:-1] + b"x" + frame(SETTINGS), PROTOCOL),
    case("HTTP/1.1", "3.4", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", PROTOCOL),
    case("PING first", "3.4", PREFACE + frame(PING, 0, 0, bytes(8)), PROTOCOL),
    case("SETTINGS ACK first", "3.4", PREFACE + frame(SETTINGS, ACK), PROTOCOL),
    case("WINDOW_UPDATE first", "3.4", PREFACE + frame(WINDOW, 0, 0, u32(1)), PROTOCOL),
    case("unknown frame first", "3.4", PREFACE + frame(NO_SUCH_FRAME), PROTOCOL),
    case("SETTINGS with an error first", "3.4", PREFACE + frame(SETTINGS, 0, 0, bytes(5)), SIZE),
]

# What a header block may look like, in requests and in responses.
BLOCKS = [
    case("HEADERS padded by more", "6.2",
         lambda p: frame(HEADERS, WHOLE | PADDED, p.s, b"\x06\x82\x84\x87\0\0"), PROTOCOL),
    case("HEADERS padded, empty", "6.2", lambda p: frame(HEADERS, WHOLE | PADDED, p.s), SIZE,
         PROTOCOL),
    case("HEADERS with half a priority", "6.2",
         lambda p: frame(HEADERS, WHOLE | HAS_PRIORITY, p.s, bytes(4)), SIZE, PROTOCOL),
    case("CONTINUATION after END_HEADERS", "6.10",
         lambda p: request(p) + frame(CONTINUATION, END_HEADERS, p.s, fields(("a", "b"))),
         PROTOCOL),
    case("PING within a header block", "6.10", lambda p: half(p) + frame(PING, 0, 0, bytes(8)),
         PROTOCOL),
    case("DATA within a header block", "6.10", lambda p: half(p) + frame(DATA, 0, p.s, b"x"),
         PROTOCOL),
    case("HEADERS within a header block", "6.10",
         lambda p: half(p) + frame(HEADERS, WHOLE, p.s + 2, fields(*p.plain)), PROTOCOL),
    case("unknown frame within a header block", "5.5",
         lambda p: half(p) + frame(NO_SUCH_FRAME, 0, 0), PROTOCOL),
    case("CONTINUATION of another stream", "6.10",
         lambda p: half(p) + frame(CONTINUATION, END_HEADERS, p.s + 2, fields(("a", "b"))),
         PROTOCOL),
    case("CONTINUATION without end", "6.10, 10.5.1",
         lambda p: half(p) + frame(CONTINUATION, 0, p.s, fields(("a", "b")) * 3000) * 40, PROTOCOL,
         "GOAWAY ENHANCE_YOUR_CALM", "GOAWAY INTERNAL_ERROR"),
    case("empty CONTINUATION without end", "6.10, 10.5.1",
         lambda p: half(p) + frame(CONTINUATION, 0, p.s) * 5000, PROTOCOL,
         "GOAWAY ENHANCE_YOUR_CALM", "GOAWAY INTERNAL_ERROR"),
]

# What only who accepts streams can get.
REQUESTS = [
    case("even number", "5.1.1", lambda p: frame(HEADERS, WHOLE, p.s + 1, fields(*p.plain)),
         PROTOCOL),
    case("number that was passed over", "5.1.1",
         lambda p: frame(HEADERS, WHOLE, p.s + 2, fields(*p.plain)) + request(p), PROTOCOL),
    case("HEADERS on a closed stream", "5.1", request, STREAM_CLOSED, PROTOCOL, IGNORED,
         state=CLOSED),
    case("HEADERS on a reset stream", "5.1", request, "RST STREAM_CLOSED", STREAM_CLOSED, IGNORED,
         state=RESET),
    case("HEADERS with padding", "6.2",
         lambda p: frame(HEADERS, WHOLE | PADDED, p.s, b"\3" + fields(*p.plain) + bytes(3)), ANSWERED),
    case("HEADERS with a priority", "6.2",
         lambda p: frame(HEADERS, WHOLE | HAS_PRIORITY, p.s, bytes(5) + fields(*p.plain)), ANSWERED),
    case("CONTINUATION", "6.10",
         lambda p: half(p) + frame(CONTINUATION, 0, p.s, fields(("a", "b"))) +
         frame(CONTINUATION, END_HEADERS, p.s, fields(("c", "d"))), ANSWERED),
    case("field cut by CONTINUATION", "4.3",
         lambda p: frame(HEADERS, END_STREAM, p.s, fields(*p.plain)[:-3]) +
         frame(CONTINUATION, END_HEADERS, p.s, fields(*p.plain)[-3:]), ANSWERED),
    case("GOAWAY with a stream of the sender's", "6.8",
         lambda p: frame(GOAWAY, 0, 0, u32(p.s) + code_of("NO_ERROR")), IGNORED, state=OPEN),
    case("trailers", "8.1",
         lambda p: frame(HEADERS, WHOLE, p.s, fields(("a", "b"))), IGNORED, state=OPEN),
    case("trailers that don't end the stream", "8.1",
         lambda p: frame(HEADERS, END_HEADERS, p.s, fields(("a", "b"))), MALFORMED, state=OPEN),
    case("trailers with a pseudo-header", "8.1",
         lambda p: frame(HEADERS, WHOLE, p.s, fields((":method", "GET"))), MALFORMED, state=OPEN),
]


def malformed(name, rule, *pairs, flags=WHOLE, behind=b""):
    """A request that isn't one: @pairs may name p.plain's fields by their names."""
    def send(p):
        known = dict(p.plain)
        whole = [(f, known[f]) if isinstance(f, str) else f for f in pairs]
        body = frame(DATA, END_STREAM, p.s, behind) if behind else b""
        return frame(HEADERS, flags, p.s, fields(*whole)) + body
    return case(name, rule, send, MALFORMED)


M, S, P, A = ":method", ":scheme", ":path", ":authority"
GET = (M, S, P, A)
FORBIDDEN = (("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "close"),
             ("transfer-encoding", "chunked"), ("upgrade", "x"))

FIELDS = [
    malformed("upper-case name", "8.2.1", *GET, ("X-Name", "v")),
    malformed("name with a space", "8.2.1", *GET, ("a b", "v")),
    malformed("name with a control character", "8.2.1", *GET, (b"a\x01", "v")),
    malformed("name beyond ASCII", "8.2.1", *GET, (b"a\xc3\xa4", "v")),
    malformed("name with a colon", "8.2.1", *GET, ("a:b", "v")),
    malformed("empty name", "8.2.1", *GET, ("", "v")),
    malformed("value with NUL", "8.2.1", *GET, ("a", b"v\0w")),
    malformed("value with CR", "8.2.1", *GET, ("a", b"v\rw")),
    malformed("value with LF", "8.2.1", *GET, ("a", b"v\nw")),
    malformed("value with a space before it", "8.2.1", *GET, ("a", " v")),
    malformed("value with a tab behind it", "8.2.1", *GET, ("a", "v\t")),
    *[malformed(f"{name} field", "8.2.2", *GET, (name, value)) for name, value in FORBIDDEN],
    malformed("te other than trailers", "8.2.2", *GET, ("te", "gzip")),
    case("te: trailers", "8.2.2", lambda p: request(p, ("te", "trailers")), ANSWERED),
    malformed("no :method", "8.3.1", S, P, A),
    malformed("no :scheme", "8.3.1", M, P, A),
    malformed("no :path", "8.3.1", M, S, A),
    *[malformed(f"{name} twice", "8.3.1", *GET, name) for name in GET],
    malformed("empty :path", "8.3.1", M, S, (P, ""), A),
    malformed(":path without a slash", "8.3.1", M, S, (P, "x"), A),
    malformed("unknown pseudo-header", "8.3", *GET, (":unknown", "v")),
    malformed("pseudo-header of responses", "8.3", *GET, (":status", "200")),
    malformed("pseudo-header behind a field", "8.3", M, S, P, ("a", "b"), A),
    malformed("CONNECT with :scheme", "8.5", (M, "CONNECT"), S, A),
    malformed("CONNECT with :path", "8.5", (M, "CONNECT"), P, A),
    malformed("CONNECT without :authority", "8.5", (M, "CONNECT")),
    malformed(":protocol without CONNECT", "RFC 8441 4", *GET, (":protocol", "connect-udp")),
    malformed("extended CONNECT without :path", "RFC 8441 4", (M, "CONNECT"), S, A,
              (":protocol", "connect-udp")),
    malformed("content-length without a body", "8.1.1", *GET, ("content-length", "1")),
    malformed("body below content-length", "8.1.1", *GET, ("content-length", "5"),
              flags=END_HEADERS, behind=b"x"),
    malformed("body above content-length", "8.1.1", *GET, ("content-length", "1"),
              flags=END_HEADERS, behind=b"xyz"),
    malformed("content-length twice", "8.1.1", *GET, ("content-length", "0"),
              ("content-length", "1")),
    malformed("content-length that is no number", "8.1.1", *GET, ("content-length", "-1")),
]


def block(name, rule, data):
    return case(name, rule, lambda p: frame(HEADERS, WHOLE, p.s, data), HPACK)


COMPRESSION = [
    block("index 0", "RFC 7541 6.1", b"\x80"),
    block("index beyond the tables", "RFC 7541 2.3.3", integer(5000, 7, 0x80)),
    block("name beyond the tables", "RFC 7541 2.3.3", integer(5000, 4) + text("v")),
    block("integer without end", "RFC 7541 5.1", b"\xff" * 20),
    block("table larger than allowed", "RFC 7541 6.3", integer(4097, 5, 0x20) + b"\x82"),
    block("table size behind a field", "RFC 7541 4.2", b"\x82" + integer(0, 5, 0x20)),
    block("string longer than the block", "RFC 7541 5.2", b"\0" + integer(100, 7) + b"abc"),
    block("block that ends within a field", "RFC 7541 6.2", b"\0" + text("a")),
    block("Huffman code cut off", "RFC 7541 5.2", b"\0\x01a\x81\xfe"),
    block("Huffman padding of zeros", "RFC 7541 5.2", b"\0\x01a\x81\x18"),
    block("Huffman padding of 8 bits", "RFC 7541 5.2", b"\0\x01a\x82\x1f\xff"),
    block("Huffman with EOS", "RFC 7541 5.2", b"\0\x01a\x84\xff\xff\xff\xff"),
    case("table of size 0", "RFC 7541 4.2",
         lambda p: frame(HEADERS, WHOLE, p.s, integer(0, 5, 0x20) + fields(*p.plain)), ANSWERED),
]

# Where the library does something else: the reasons are in docs/protocol.md, section 10.
DEVIATIONS = {
    "window overflow by SETTINGS": "RST FLOW_CONTROL_ERROR",
    "number that was passed over": IGNORED,
    "GOAWAY with a stream of the sender's": PROTOCOL,
}
DEVIATIONS_OF_OPENERS = {
    "window overflow by SETTINGS": "RST FLOW_CONTROL_ERROR",
    "PRIORITY on stream 0": IGNORED,
}

ALL = SIZES + EXTENSIONS + IDENTIFIERS + STATES + PADDING + SETTINGS_VALUES + WINDOWS + CONTROL
ACCEPTORS = ALL + BLOCKS + REQUESTS + FIELDS + COMPRESSION
