# SPDX-License-Identifier: Apache-2.0
"""What a daemon tells systemd (sd_notify)."""

import socket
import time

from support.waiting import wait_until


class Notifications:
    """A NOTIFY_SOCKET: what came, in order, as dicts with the time of arrival."""

    def __init__(self, case):
        self.path = case.path("notify.sock")
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = case.thread(self._run)
        case.addCleanup(self._stop)

    def _stop(self):
        """Ends the thread before its socket: a recv() that is late would read from whatever gets
        the descriptor's number next, the next test's notifications for one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self._thread.join(60)
        self._socket.close()

    def _run(self):
        while text := self._socket.recv(65536).decode():
            message = dict(line.split("=", 1) for line in text.splitlines() if line)
            message["arrived_us"] = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self.messages.append(message)

    def having(self, key, value=None, since=0):
        return [m for m in self.messages[since:]
                if key in m and (value is None or m[key] == value)]

    def wait(self, key, value=None, since=0, deadline_s=60):
        return wait_until(lambda: self.having(key, value, since), f"{key}={value}", deadline_s,
                          lambda: str(self.messages))[0]
