# SPDX-License-Identifier: Apache-2.0
"""Base of all integration tests: a folder, processes that end with the test, skips as 77."""

import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

from support.process import Process
from support.require import SKIPPED


HANG_S = 280    # before ctest's time-out: says where every thread stands


class Case(unittest.TestCase):
    """Each test gets a folder of its own under TMPDIR: self.tmp. On failure the tails of all
    logs are printed; a sanitizer's finding in any of them fails the test, and so does the end of
    a process by its system call filter."""

    longMessage = True
    maxDiff = None

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="adit-test-")
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.processes = []
        # What processes stand on, such as namespaces: it goes when they have ended.
        self.ground = contextlib.ExitStack()
        self.addCleanup(self.ground.close)
        self.addCleanup(self._finish)
        began = time.monotonic()
        self.addCleanup(lambda: print(f"{time.monotonic() - began:.1f} s", end=" ",
                                      file=sys.stderr))

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def start(self, name, argv, **options):
        """Starts a program; its log is NAME.log in the test's folder."""
        process = Process(argv, self.path(f"{name}.log"), **options)
        self.processes.append(process)
        return process

    def thread(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        return thread

    def _failed(self):
        result = getattr(self._outcome, "result", None)
        lists = (getattr(result, "failures", []), getattr(result, "errors", []))
        own = getattr(self._outcome, "errors", [])
        return any(test is self for found in lists for test, _ in found) or \
            any(info for _, info in own if info)

    def _finish(self):
        for process in reversed(self.processes):
            process.close()
        reports = [f"{p.argv}: a system call that its filter refuses" for p in self.processes
                   if p.popen.returncode == -signal.SIGSYS]
        reports += [r for r in (p.sanitizer_report() for p in self.processes) if r]
        if reports or self._failed():
            for log in sorted({p.log_path for p in self.processes}):
                name = os.path.basename(log)
                with open(log, encoding="utf-8", errors="replace") as f:
                    lines = f.read().splitlines()[-30:]
                print(f"--- {name} of {self.id()}", *lines, sep="\n", file=sys.stderr)
        if reports:
            raise AssertionError("finding:\n" + "\n".join(reports))


def main():
    """Runs the file's tests; exit status 77 when every one of them was skipped."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    program = unittest.main(module="__main__", exit=False, verbosity=2, warnings="ignore")
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun and len(result.skipped) >= result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(0)
