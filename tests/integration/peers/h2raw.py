# SPDX-License-Identifier: Apache-2.0
"""A peer that sends bytes as they are and keeps the frames that come: for broken HTTP/2.

An Observer takes the place of python-h2 in an H2Connection, from the start (RawConnection) or
when a connection that began well is to go wrong (go_raw). It answers SETTINGS and PINGs, as the
limits that were announced hold from their acknowledgement on.
"""

import itertools
import struct

from peers.h2conn import H2Connection
from support.h2frames import (ACK, CODES, DATA, GOAWAY, HEADERS, PING, PREFACE, RST, SETTINGS, frame,
                              split)

import hpack

_markers = itertools.count(1)


class Observer:
    """@hello: sent first. @decoder: for header blocks of a connection that has begun."""

    def __init__(self, hello=b"", decoder=None):
        self.frames, self.settings, self.statuses = [], {}, {}
        self._out, self._rest = bytearray(hello), bytearray()
        self._decoder = decoder or hpack.Decoder()
        self._decoder.max_allowed_table_size = 1 << 20

    # ---- what H2Connection asks of its machine ----

    def start(self, _settings):
        """What is to be said first is in @hello."""

    def increment_flow_control_window(self, *_args):
        """The windows are the test's business."""

    def data_to_send(self):
        out, self._out = bytes(self._out), bytearray()
        return out

    def receive_data(self, data):
        self._rest += data
        if self._rest.startswith(PREFACE):  # of a peer that opens; no frame begins like that
            del self._rest[:len(PREFACE)]
        for received in split(self._rest):
            self.frames.append(received)
            self._note(received)
        return []

    def _note(self, received):
        kind, flags, stream, payload = received
        if kind == SETTINGS and not flags & ACK:
            self.settings.update(struct.iter_unpack(">HI", payload))
            self._out += frame(SETTINGS, ACK)
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, payload)
        elif kind == HEADERS:
            headers = self._decoder.decode(payload)
            self.statuses.setdefault(stream, dict(headers).get(":status"))

    # ---- what came ----

    def of(self, kind, stream=None):
        return [f for f in self.frames if f.kind == kind and stream in (None, f.stream)]

    def n_acks(self, payload):
        return sum(f.payload == payload and f.flags & ACK for f in self.of(PING))

    def codes(self, kind, stream=None):
        """Names of the error codes of GOAWAY or RST_STREAM."""
        at = 4 if kind == GOAWAY else 0
        return [CODES[int.from_bytes(f.payload[at:at + 4], "big")] for f in self.of(kind, stream)]

    def data(self, stream):
        return b"".join(f.payload for f in self.of(DATA, stream))


class RawConnection(H2Connection):
    """@hello: all that is sent by itself after TLS."""

    registered = False

    def __init__(self, sock, hello):
        super().__init__(sock, opener=True)
        self.h2 = Observer(hello)


def go_raw(conn):
    """From now on @conn sends and shows bytes only. What its machine had to say is sent first."""
    with conn.lock:
        conn._out += conn.h2.data_to_send()
        observer = Observer(decoder=conn.h2.decoder)
        observer.settings.update({int(k): v for k, v in conn.h2.remote_settings.items()})
        conn.h2 = observer
    return conn


def settle(conn, data=b""):
    """Sends @data; returns when all that it brings about by itself has come, or the end.

    Two PINGs: the answer to one overtakes what is queued, that to the next comes behind it."""
    for part in (data, b""):
        marker = struct.pack(">Q", next(_markers))
        conn.send_raw(part + frame(PING, 0, 0, marker))
        conn.wait(lambda m=marker: conn.closed or conn.h2.n_acks(m), "an answer or the end")
    return conn


def outcome(conn, stream, since=0):
    """In a word what the peer made of what was sent when it had sent @since frames; of streams
    only @stream is looked at."""
    observer = conn.h2
    answer = "answered" if any(f.kind == HEADERS and f.stream == stream
                               for f in observer.frames[since:]) else ""
    errors = [name for name in observer.codes(GOAWAY) if name != "NO_ERROR"]
    resets = [name for name in observer.codes(RST, stream) if name != "NO_ERROR"]
    if errors:
        end = f"GOAWAY {errors[-1]}" if conn.closed else f"GOAWAY {errors[-1]}, not closed"
    elif conn.closed:
        end = "closed"
    else:
        end = f"RST {resets[-1]}" if resets else ""
    return ", ".join(filter(None, (answer, end))) or "ignored"
