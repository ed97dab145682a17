# SPDX-License-Identifier: Apache-2.0
"""Child processes: started with a log, stopped by their own pid, never by name."""

import atexit
import ctypes
import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile

from support.waiting import wait_until

SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "WARNING: ThreadSanitizer", "AddressSanitizer:DEADLYSIGNAL")
# A system call that a filter has forgotten ends the daemon, and so the test (base/confinement.h).
os.environ.setdefault("ADIT_SECCOMP", "kill")
_locks = []
_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """In the child: a test that is killed leaves nothing behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """A TCP port below the range of outgoing connections that no other test has: its lock file
    is held as long as this process lives."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        top = int(f.read().split()[0])
    while True:
        port = random.randrange(10240, max(top, 16384))
        lock = open(os.path.join(tempfile.gettempdir(), f"adit-test-port-{port}.lock"), "wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        atexit.register(_unlink, lock.name)
        return port


def _unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass


class Process:
    """A running program whose stderr (and stdout, unless piped) goes to @log_path."""

    def __init__(self, argv, log_path, env=None, cwd=None, **popen):
        self.argv = [str(a) for a in argv]
        self.log_path = str(log_path)
        self._log = open(self.log_path, "ab")
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", self._log)
        popen.setdefault("stderr", self._log)
        merged = dict(os.environ)
        for name, value in (env or {}).items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = str(value)
        try:
            self.popen = subprocess.Popen(self.argv, env=merged, cwd=cwd,
                                          preexec_fn=_die_with_parent, **popen)
        except OSError:
            self._log.close()
            raise
        self.pid = self.popen.pid
        self.stdin, self.stdout = self.popen.stdin, self.popen.stdout

    def running(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_tail(self, n=40):
        return "\n".join([f"--- {os.path.basename(self.log_path)}"] + self.log().splitlines()[-n:])

    def wait_log(self, text, deadline_s=60):
        def seen():
            return text in self.log() or (not self.running() and "gone")
        wait_until(seen, f"{text!r} in the log of {self.argv[0]}", deadline_s, self.log_tail)
        if text not in self.log():
            raise AssertionError(f"{self.argv[0]} ended before {text!r}\n{self.log_tail()}")

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, deadline_s=60):
        """Waits for its end and returns the exit status."""
        wait_until(lambda: not self.running(), f"the end of {self.argv[0]}", deadline_s,
                   self.log_tail)
        return self.popen.returncode

    def terminate(self, deadline_s=60):
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait()

    def close(self):
        """For clean-ups: ends it whatever its state."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe and not pipe.closed:
                try:
                    pipe.close()
                except OSError:
                    pass
        self._log.close()

    def sanitizer_report(self):
        """The lines from the first sanitizer finding on, or an empty string."""
        text = self.log()
        found = [text.find(m) for m in SANITIZER_MARKS if m in text]
        return text[min(found):][:6000] if found else ""
