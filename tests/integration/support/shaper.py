# SPDX-License-Identifier: Apache-2.0
"""A TCP relay on loopback that makes a path bad: slow, late, silent or cut.

Directions are "up" (dialler to target) and "down". What the relay holds per direction and
connection is bounded by @buffer_bytes; beyond that it stops reading, as a full queue would.
"""

import collections
import selectors
import socket
import threading
import time


class _Flow:
    """One direction of one connection."""

    def __init__(self, source, sink, limits, buffer_bytes):
        self.source, self.sink, self.limits = source, sink, limits
        self.room = buffer_bytes
        self.queue = collections.deque()    # (due time, bytes)
        self.queued = 0
        self.ended = self.shut = False

    def wants_read(self):
        return not self.ended and self.queued < self.room

    def read(self, now):
        data = self.source.recv(min(65536, self.room - self.queued))
        if not data:
            self.ended = True
            return
        if self.limits.silent:
            return
        self.queue.append((now + self.limits.delay_s, data))
        self.queued += len(data)

    def write(self, now):
        budget = self.limits.allowance(now)
        while self.queue and budget > 0 and self.queue[0][0] <= now:
            due, data = self.queue.popleft()
            try:
                n = self.sink.send(data[:budget])
            except BlockingIOError:
                n = 0
            self.queued -= n
            budget -= n
            self.limits.spend(n)
            if n < len(data):
                self.queue.appendleft((due, data[n:]))
                break
        if self.ended and not self.queue and not self.shut and not self.limits.silent:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)


class Limits:
    """What one direction does to the bytes of all connections together; may be changed at any
    time."""

    def __init__(self):
        self.bytes_per_s = 0    # 0: unlimited
        self.delay_s = 0.0
        self.silent = False     # swallow: bytes are read and dropped
        self._tokens, self._filled = 0.0, time.monotonic()

    def allowance(self, now):
        if not self.bytes_per_s:
            return 1 << 20
        self._tokens += (now - self._filled) * self.bytes_per_s
        self._tokens = min(self._tokens, self.bytes_per_s / 20 + 1500)
        self._filled = now
        return int(self._tokens)

    def spend(self, n):
        if self.bytes_per_s:
            self._tokens -= n


class Shaper:
    """Listens on 127.0.0.1:port and relays to @target ("host", port)."""

    def __init__(self, target, buffer_bytes=1 << 20):
        self.target, self.buffer_bytes = target, buffer_bytes
        self.up, self.down = Limits(), Limits()
        self.accepted = 0
        self._pairs, self._lock, self._stop = [], threading.Lock(), False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, index=None):
        """Resets the open connections (all, or the one with @index, in order of arrival)."""
        with self._lock:
            chosen = self._pairs if index is None else self._pairs[index:index + 1]
            for pair in list(chosen):
                self._drop(pair, reset=True)

    def n_open(self):
        with self._lock:
            return len(self._pairs)

    def close(self):
        self._stop = True
        self._thread.join(10)
        with self._lock:
            for pair in list(self._pairs):
                self._drop(pair)
        self._listener.close()

    def _drop(self, pair, reset=False):
        for flow in pair:
            if reset:
                flow.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       b"\1\0\0\0\0\0\0\0")
            flow.source.close()
        if pair in self._pairs:
            self._pairs.remove(pair)

    def _accept(self):
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:
            return
        try:
            far = socket.create_connection(self.target, 10)
        except OSError:
            near.close()
            return
        self.accepted += 1
        for s in (near, far):
            # Small kernel buffers: the bound on held bytes must be ours.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.setblocking(False)
        with self._lock:
            self._pairs.append((_Flow(near, far, self.up, self.buffer_bytes),
                                _Flow(far, near, self.down, self.buffer_bytes)))

    def _turn(self, pair, readable):
        now = time.monotonic()
        for flow in pair:
            if flow.source in readable and flow.wants_read():
                flow.read(now)
            flow.write(now)
        if all(f.ended and f.shut for f in pair):
            self._drop(pair)

    def _wait(self):
        with selectors.DefaultSelector() as selector, self._lock:
            selector.register(self._listener, selectors.EVENT_READ)
            busy = False
            for pair in self._pairs:
                for flow in pair:
                    busy = busy or bool(flow.queue)
                    if flow.wants_read():
                        selector.register(flow.source, selectors.EVENT_READ)
            self._lock.release()
            try:
                return {key.fileobj for key, _ in selector.select(0.002 if busy else 0.05)}
            finally:
                self._lock.acquire()

    def _run(self):
        while not self._stop:
            readable = self._wait()
            if self._listener in readable:
                self._accept()
            with self._lock:
                for pair in list(self._pairs):
                    try:
                        self._turn(pair, readable)
                    except BlockingIOError:
                        pass
                    except OSError:
                        self._drop(pair, reset=True)
