# SPDX-License-Identifier: Apache-2.0
"""What support.case.Case gives a test, for a program: a folder, processes, and nothing left behind.

A guard, a process of its own, waits for our end, whatever that is (SIGKILL, too), and then takes away
namespaces and folder.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile

from support.process import Process

GUARD = """
read -r _
for name in $(ip netns list | cut -d' ' -f1 | grep "^adit$1c"); do ip netns del "$name"; done
[ "$3" = keep ] || rm -rf "$2"
"""


class Ground:
    def __init__(self, keep=False):
        self.tmp, self.keep = tempfile.mkdtemp(prefix="adit-chaos-"), keep
        self.processes, self._cleanups = [], []
        self.ground = contextlib.ExitStack()
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", str(os.getpid()), self.tmp, "keep" if keep else "remove"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def start(self, name, argv, **options):
        process = Process(argv, self.path(f"{name}.log"), **options)
        self.processes.append(process)
        return process

    def addCleanup(self, what, *args, **options):
        self._cleanups.append((what, args, options))

    def close(self):
        for what, args, options in reversed(self._cleanups):
            what(*args, **options)
        for process in reversed(self.processes):
            process.close()
        self.ground.close()
        self._guard.stdin.close()
        self._guard.wait()
        if not self.keep:
            shutil.rmtree(self.tmp, ignore_errors=True)
