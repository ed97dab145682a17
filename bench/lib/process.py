# SPDX-License-Identifier: Apache-2.0
"""Programs that a measurement starts, and what the kernel says of their cost."""

import atexit
import ctypes
import os
import signal
import subprocess
import time

DEADLINE_S = 60
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failure(RuntimeError):
    """A measurement broke: its row says why, the others go on."""


class Skip(RuntimeError):
    """A row that can't be measured here, with the reason."""


def poll(condition, what, deadline_s=DEADLINE_S, pause_s=0.001):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause_s)
    raise Failure(f"waited {deadline_s} s in vain for {what}")


def _in_child():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A program whose output goes to @log; ended by its own pid, at the latest with us."""

    def __init__(self, argv, log, ready=None, **options):
        self.argv, self.log_path = [str(a) for a in argv], log
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(log, "ab") as f:
            self._began = f.tell()      # others may have written to it
            options.setdefault("stdout", f)
            self.popen = subprocess.Popen(self.argv, stderr=f, preexec_fn=_in_child, **options)
        self.pid = self.popen.pid
        atexit.register(self.stop)
        if ready:
            poll(lambda: self._said(ready), f"{ready!r} of {self.argv[0]}")

    def _said(self, text):
        if self.popen.poll() is not None:
            raise Failure(f"{self.argv[0]} ended: {self.log_tail()}")
        return text in self.log_tail(1 << 20)

    def log_tail(self, n_bytes=500):
        with open(self.log_path, "rb") as f:
            f.seek(self._began)
            return f.read()[-n_bytes:].decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def status(self):
        return self.popen.poll()

    def stop(self, number=signal.SIGTERM):
        if self.running():
            self.popen.send_signal(number)
        try:
            self.popen.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()
        atexit.unregister(self.stop)


def run(argv, timeout_s=DEADLINE_S, **options):
    """A command to its end: what it printed."""
    try:
        done = subprocess.run([str(a) for a in argv], text=True, check=False, timeout=timeout_s,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, **options)
    except subprocess.TimeoutExpired as e:
        raise Failure(f"{' '.join(map(str, argv))}: not done after {timeout_s} s") from e
    if done.returncode:
        raise Failure(f"{' '.join(map(str, argv))}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def cpu_s(pid):
    """User and system time of a process with all its threads, those that ended included, to the
    nanosecond. The clock's number is what clock_getcpuclockid() would give."""
    return time.clock_gettime(~pid << 3 | 2)


def memory_kb(pid):
    """(RSS, what of it no other process shares)."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f.readlines()[1:]:
            name, value = line.split(":")
            sizes[name] = int(value.split()[0])
    return sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def wakeups(pid):
    """How often its threads went to sleep so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as f:
            total += sum(int(line.split()[1]) for line in f
                         if line.startswith("voluntary_ctxt_switches"))
    return total
