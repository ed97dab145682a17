# SPDX-License-Identifier: Apache-2.0
"""Whole processes in which one call fails: of the program, or of a library that it uses. They
end with a named error and an exit code of the manual, or work; never by a signal, never hanging.
The n are a sample: tests/fault has every n, but only of the program's own calls."""

import os
import unittest

from support import adit, origin
from support.case import Case, main
from support.process import SANITIZER_MARKS
from support.stack import Stack, serve
from support.waiting import wait_until

FIRST_CALLS = 60        # the sample is drawn from these
EXIT_CODES = (1, 73, 77, 78)
# Function, and part of the name of who calls it: "adit" is the program, "" is anybody. Left out is
# what libuv itself ends the process for: epoll_ctl(), its own reads, its first pipe, its pool.
CALLS = [("socket", ""), ("connect", ""), ("setsockopt", "adit"), ("getsockname", "adit"),
         ("send", "adit"), ("recv", "adit"), ("open", ""), ("epoll_create1", ""), ("eventfd", "")]
EDGE_CALLS = [("accept4", "adit"), ("bind", ""), ("listen", ""), ("pthread_create", "")]
# Not jansson's: the few bytes of an answer to its own user are what the program aborts without.
MEMORY = [("malloc", library) for library in ("nghttp2", "ssl", "crypto", "yaml", "cares")]
EDGE_MEMORY = [("malloc", "sqlite3")]


def library():
    return os.path.join(os.environ["ADIT_BUILD_DIR"], "tests", "fault", "libfault_preload.so")


def has_sanitizer():
    with open(adit.binary("adit"), "rb") as f:
        return b"__asan_init" in f.read() or b"__tsan_init" in f.read()


def sample(n_calls):
    """A few n, closer together at the start, where most things are made."""
    chosen, n = [], 1
    while n <= min(n_calls, FIRST_CALLS):
        chosen.append(n)
        n += 1 + n // 2
    return chosen


class Faults(Case):
    def environment(self, function, n, caller):
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": library(), "ADIT_FAULT": f"{function}:{n}:{caller}",
                "ADIT_FAULT_COUNT": self.path("count"),
                "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0"}

    def count(self):
        with open(self.path("count"), encoding="ascii") as f:
            return int(f.read())

    def judge_end(self, process, what):
        """It has ended by itself."""
        said = process.log()
        self.assertIn(process.popen.returncode, EXIT_CODES, f"{what}\n{process.log_tail()}")
        self.assertTrue(said.strip(), f"{what}: it ended without a word")
        self.assertFalse([m for m in SANITIZER_MARKS if m in said], what)

    def run_with(self, start, works, call, n):
        """One process: it ends, or comes to work and ends when it is told to."""
        what = f"{call[0]} of {call[1] or 'anybody'}, call {n}"
        process = start(self.environment(call[0], n, call[1]))
        wait_until(lambda: not process.running() or works(), f"an end or a success: {what}", 60,
                   process.log_tail)
        if process.running():
            self.assertEqual(process.terminate(), 0, f"{what}\n{process.log_tail()}")
        else:
            self.judge_end(process, what)
        self.processes.remove(process)
        process.close()

    def sweep(self, start, works, calls):
        n_failed = 0
        for call in calls:
            self.run_with(start, works, call, 0)
            for n in sample(self.count()):
                with self.subTest(call=call, n=n):
                    self.run_with(start, works, call, n)
                    n_failed += 1
        print(f"{n_failed} calls failed", end=" ")
        return n_failed


class Agent(Faults):
    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port, settings="ha-connections: 2\n",
                           start=False)

    def start_agent(self, env):
        agent = self.stack.agent
        agent.process = self.start("agent", [adit.binary("adit"), "run", "--config", agent.config],
                                   env=env)
        return agent.process

    def registered(self):
        """Asks the edge, which costs no process."""
        return self.stack.agent.process.log().count("connection registered") >= 2

    def start_fresh(self, env):
        try:
            os.unlink(self.path("agent.log"))
        except FileNotFoundError:
            pass
        return self.start_agent(env)

    def test_calls(self):
        self.assertGreater(self.sweep(self.start_fresh, self.registered, CALLS), 20)

    @unittest.skipIf(has_sanitizer(), "sanitizers have malloc() themselves")
    def test_memory_of_libraries(self):
        self.assertGreater(self.sweep(self.start_fresh, self.registered, MEMORY), 10)


class Edge(Faults):
    def setUp(self):
        super().setUp()
        self.edge = adit.Edge(self)

    def start_fresh(self, env):
        try:
            os.unlink(self.path("edge.log"))
        except FileNotFoundError:
            pass
        process = self.start("edge", [adit.binary("adit-edge"), "run", "--config",
                                      self.edge.config], env=env)
        return process

    def works(self):
        return self.edge.try_admin("status").returncode == 0

    def test_calls(self):
        self.assertGreater(self.sweep(self.start_fresh, self.works, CALLS + EDGE_CALLS), 10)

    @unittest.skipIf(has_sanitizer(), "sanitizers have malloc() themselves")
    def test_memory_of_libraries(self):
        self.assertGreater(self.sweep(self.start_fresh, self.works, MEMORY + EDGE_MEMORY), 10)


if __name__ == "__main__":
    main()
