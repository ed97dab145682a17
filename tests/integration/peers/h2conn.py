# SPDX-License-Identifier: Apache-2.0
"""One HTTP/2 connection over TLS on python-h2, driven by a thread of its own.

The thread owns the socket; everything else happens under `lock`, which is also the
condition that each event notifies. Methods may be called from any thread. What happened on
a stream is kept in order in Stream.log, so that a test can assert the order of frames:
"headers", "data", "end", "reset:<code>".
"""

import selectors
import socket
import ssl
import threading
import time

from peers.h2machine import SETTING, Stream, new_machine
from support.waiting import DEADLINE_S

import h2.errors
import h2.events
import h2.exceptions


class H2Connection:
    """@opener: we open streams (HTTP/2 client role), whoever dialled. @sock: connected and, if
    TLS is wanted, wrapped but not yet shaken hands. @settings: our SETTINGS by code."""

    def __init__(self, sock, opener, settings=None, connection_window=1 << 30):
        self.lock = threading.Condition()
        self.sock, self.opener = sock, opener
        self.streams = {}
        self.closed = False     # the socket is gone
        self.peer_closed = False
        self.error = None
        self.goaway = None      # code of the peer's GOAWAY
        self.n_pings = 0        # PINGs of the peer
        self.ping_acks = []
        self.peer_settings = {}
        self._closing = False
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self.h2 = new_machine(opener)
        self._first_settings = settings or {SETTING.INITIAL_WINDOW_SIZE: 1 << 24}
        self._window = connection_window
        self._thread = threading.Thread(target=self._run, daemon=True)

    # ---- for subclasses ----

    def on_start(self):
        """TLS and our SETTINGS are done; called under the lock."""

    def on_request(self, stream):
        """The peer opened @stream; called under the lock."""

    def on_response(self, stream):
        """The peer answered @stream; called under the lock."""

    def on_closed(self):
        """The connection is gone; called under the lock."""

    # ---- for tests ----

    def start(self):
        self._thread.start()
        return self

    def wait(self, condition, what, deadline_s=DEADLINE_S):
        """Waits until @condition() holds; returns its value."""
        end = time.monotonic() + deadline_s
        with self.lock:
            while not (value := condition()):
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {deadline_s} s in vain for {what}; "
                                         f"closed={self.closed} error={self.error}")
                self.lock.wait(left)
            return value

    def open(self, headers, end=False):
        self.wait(lambda: self._begun or self.closed, "the connection to be up")
        with self.lock:
            number = self.h2.get_next_available_stream_id()
            stream = self.streams[number] = Stream(number)
            self.h2.send_headers(number, headers, end_stream=end)
            self._wake()
            return stream

    def respond(self, stream, headers, end=False):
        self._do(lambda: self.h2.send_headers(stream.id, headers, end_stream=end))

    def send(self, stream, data, end=False, piece=None, deadline_s=DEADLINE_S):
        """Sends all of @data within the peer's windows, at most @piece bytes per frame.
        False when the stream or the connection ended before."""
        at, limit = 0, time.monotonic() + deadline_s
        view = memoryview(bytes(data))
        with self.lock:
            while at < len(view):
                try:
                    room = min(self.h2.local_flow_control_window(stream.id),
                               self.h2.max_outbound_frame_size, piece or 1 << 20,
                               len(view) - at)
                    if room > 0 and self._backlog < 1 << 20:
                        self.h2.send_data(stream.id, bytes(view[at:at + room]))
                        at += room
                        limit = time.monotonic() + deadline_s
                        self._wake()
                        continue
                except h2.exceptions.ProtocolError:
                    return False
                if self.closed or stream.reset is not None:
                    return False
                if time.monotonic() > limit:
                    raise AssertionError(f"no window for {len(view) - at} bytes of {len(view)}")
                self.lock.wait(1)
            return self._do(lambda: self.h2.end_stream(stream.id)) if end else True

    def end(self, stream):
        return self._do(lambda: self.h2.end_stream(stream.id))

    def reset(self, stream, code=h2.errors.ErrorCodes.CANCEL):
        return self._do(lambda: self.h2.reset_stream(stream.id, code))

    def credit(self, stream, n):
        """Gives @n bytes of credit back on stream and connection (manual credit)."""
        with self.lock:
            stream.held -= n
            self._credit(stream.id, n)
            self._wake()

    def ping(self, payload=b"aditping"):
        self._do(lambda: self.h2.ping(payload))

    def send_goaway(self, code=0):
        """GOAWAY that lets open streams go on; h2's own close_connection() would not."""
        last = self.h2.highest_inbound_stream_id
        self.send_raw(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") +
                      int(code).to_bytes(4, "big"))

    def send_raw(self, data):
        """Bytes beside the HTTP/2 machine: broken frames, or ones that h2 won't make."""
        with self.lock:
            self._out += self.h2.data_to_send() + data
            self._wake()

    def freeze(self):
        """From now on nothing is read, written or closed: a path gone dead."""
        with self.lock:
            self._frozen = True
            self._wake()

    def deafen(self):
        """From now on nothing is read; what is sent still goes out."""
        with self.lock:
            self._deaf = True
            self._wake()

    def close(self):
        """Flushes, then closes TLS and TCP."""
        with self.lock:
            self._closing = True
            self._wake()
            self.lock.notify_all()
            if not self._begun:
                self._abandon_handshake()
        if threading.current_thread() is not self._thread and self._thread.ident:
            self._thread.join(10)

    # ---- machinery ----

    _begun = _frozen = _deaf = False

    def _abandon_handshake(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    _out = b""

    @property
    def _backlog(self):
        return len(self._out) + len(self.h2._data_to_send)

    def _wake(self):
        try:
            self._wake_w.send(b"x")
        except OSError:
            pass

    def _do(self, action):
        with self.lock:
            if self.closed:
                return False
            try:
                action()
            except h2.exceptions.ProtocolError:
                return False
            self._wake()
            return True

    def _credit(self, number, n):
        if n <= 0:
            return
        self.h2.increment_flow_control_window(n)
        try:
            self.h2.increment_flow_control_window(n, number)
        except (h2.exceptions.ProtocolError, KeyError):
            pass

    def _begin(self):
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(DEADLINE_S)
            self.sock.do_handshake()
        self.sock.setblocking(False)
        with self.lock:
            self._begun = True
            self.h2.start(self._first_settings)
            if self._window > 65535:
                self.h2.increment_flow_control_window(self._window - 65535)
            self.on_start()
            self.lock.notify_all()

    def _run(self):
        try:
            self._begin()
            with selectors.DefaultSelector() as selector:
                selector.register(self.sock, selectors.EVENT_READ)
                selector.register(self._wake_r, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError) as e:
            self.error = self.error or e
        finally:
            self._finish()

    def _finish(self):
        try:
            self.sock.close()
        except OSError:
            pass
        with self.lock:
            self.closed = True
            self.on_closed()
            for stream in list(self.streams.values()):
                if not stream.closed and stream.on_end:
                    stream.on_end()
            self.lock.notify_all()

    def _turn(self, selector):
        while self._frozen and not self._closing:
            with self.lock:
                self.lock.wait(1)
        with self.lock:
            flushed = self._flush()
            if self._closing and flushed:
                try:
                    self.sock.setblocking(True)
                    self.sock.settimeout(1)
                    if isinstance(self.sock, ssl.SSLSocket):
                        self.sock.unwrap()
                except (OSError, ValueError):
                    pass
                return False
            self._watch(selector, flushed)
            pending = not self._deaf and isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        selector.select(0 if pending else 1)
        try:
            self._wake_r.recv(4096)
        except BlockingIOError:
            pass
        return self._deaf or self._read()

    def _watch(self, selector, flushed):
        events = 0 if self._deaf else selectors.EVENT_READ
        events |= 0 if flushed else selectors.EVENT_WRITE
        if not events:
            if self.sock in selector.get_map():
                selector.unregister(self.sock)
        elif self.sock in selector.get_map():
            selector.modify(self.sock, events)
        else:
            selector.register(self.sock, events)

    def _flush(self):
        self._out += self.h2.data_to_send()
        while self._out:
            try:
                n = self.sock.send(self._out[:65536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                return False
            self._out = self._out[n:]
        self.lock.notify_all()
        return True

    def _read(self):
        with self.lock:
            try:
                data = self.sock.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return True
            except ssl.SSLEOFError:
                data = b""
            if not data:
                self.peer_closed = True
                return False
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError as e:
                self.error = e
                self._flush()
                return False
            for event in events:
                self._handle(event)
            self.lock.notify_all()
            return True

    def _handle(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(number)
            self._headers(stream, event)
            self.on_request(stream)
        elif isinstance(event, h2.events.ResponseReceived) and stream:
            self._headers(stream, event)
            self.on_response(stream)
        elif isinstance(event, h2.events.DataReceived):
            self._data(stream, event)
        elif isinstance(event, h2.events.StreamEnded) and stream:
            stream.ended = True
            stream.note("end")
            if stream.on_end:
                stream.on_end()
        elif isinstance(event, h2.events.StreamReset) and stream and event.remote_reset:
            stream.reset = int(event.error_code)
            stream.note(f"reset:{stream.reset}")
            if stream.on_end:
                stream.on_end()
        else:
            self._handle_connection(event)

    def _handle_connection(self, event):
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
        elif isinstance(event, h2.events.PingReceived):
            self.n_pings += 1
        elif isinstance(event, h2.events.PingAckReceived):
            self.ping_acks.append(event.ping_data)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            for code, change in event.changed_settings.items():
                self.peer_settings[int(code)] = change.new_value

    @staticmethod
    def _headers(stream, event):
        stream.headers = dict(event.headers)
        stream.note("headers")

    def _data(self, stream, event):
        n = event.flow_controlled_length
        if stream is None:
            self._credit(event.stream_id, n)
            return
        stream.n_received += len(event.data)
        if event.data:
            stream.note("data")
        if stream.auto_credit:
            self._credit(stream.id, n)
        else:
            stream.held += n
        if stream.on_data:
            stream.on_data(event.data)
        else:
            stream.data += event.data
