# SPDX-License-Identifier: Apache-2.0
"""One run: the world, the workload, the faults, and the report with what was promised.

Bounded: as many processes as sessions allow, and HARD_S beyond the time that was asked for.
"""

import dataclasses
import os
import signal
import threading
import time

from chaos import table
from chaos.faults import AT_ONCE, KINDS, SPARES, Faults
from chaos.judge import FINE, Evidence, Judge
from chaos.workload import Workload
from chaos.world import World
from support.waiting import wait_until

HARD_S = 300
WARM_S = 6          # until the load runs, before the first fault
SAMPLE_EVERY_S = 1
SETTLE_S = 60
# Above what it was before the load, when all sessions have ended.
GROWTH_KIB, GROWTH_FDS = 8 * 1024, 4


@dataclasses.dataclass
class Limits:
    """The issue's, times @factor: where others use the machine at the same time, a test proves the event
    and a generous deadline, and only a run by itself the figures."""

    factor: float = 1.0

    @property
    def end_s(self):
        return 2.0 * self.factor

    @property
    def repeat_s(self):
        return 3.0 * self.factor

    @property
    def stall_s(self):
        """Of a shell whose connection nobody touched."""
        return 5.0 * self.factor


@dataclasses.dataclass
class Sample:
    kib: int = 0
    fds: int = 0


@dataclasses.dataclass
class Memory:
    before: Sample
    loaded: Sample = dataclasses.field(default_factory=Sample)
    peak: Sample = dataclasses.field(default_factory=Sample)
    after: Sample = dataclasses.field(default_factory=Sample)


@dataclasses.dataclass
class Promise:
    text: str
    limit: str
    seen: str
    kept: bool


def sample(process):
    """Of a process that may just have been killed: zeros then."""
    try:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
            rss = next((int(line.split()[1]) for line in f if line.startswith("VmRSS")), 0)
        return Sample(rss, len(os.listdir(f"/proc/{process.pid}/fd")))
    except OSError:
        return Sample()


class Sampler:
    """Watches the daemons on a thread of its own."""

    def __init__(self, world):
        self.world, self.ended = world, threading.Event()
        self.memory = {name: Memory(sample(p)) for name, p in world.daemons().items()}
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(SAMPLE_EVERY_S):
            for name, process in self.world.daemons().items():
                now, peak = sample(process), self.memory[name].peak
                peak.kib, peak.fds = max(peak.kib, now.kib), max(peak.fds, now.fds)

    def note(self, field):
        for name, process in self.world.daemons().items():
            setattr(self.memory[name], field, sample(process))

    def stop(self):
        self.ended.set()
        self.thread.join()


def is_flat(m):
    return m.after.fds <= m.before.fds + GROWTH_FDS and m.after.kib <= m.before.kib + GROWTH_KIB


class Report:
    def __init__(self, sessions, faults, evidence, memory, recoveries, limits):
        self.faults, self.evidence, self.memory, self.limits = faults, evidence, memory, limits
        self.recoveries = recoveries
        self.judge = Judge(sessions, faults, evidence, limits)
        self.verdicts = self.judge.verdicts()
        self.promises = list(self._promises())

    @property
    def kept(self):
        return all(p.kept for p in self.promises)

    def _count(self, *results):
        return sum(v.result in results for v in self.verdicts)

    def _none(self, text, *results):
        n = self._count(*results)
        return Promise(text, "0", str(n), n == 0)

    def _longest(self, text, limit_s, values):
        values = list(values)
        longest = max(values, default=0)
        return Promise(f"{text} ({len(values)})", f"{limit_s:.1f} s", f"{longest:.2f} s",
                       longest <= limit_s)

    def _promises(self):
        ended = [v for v in self.verdicts if v.fault and v.result not in ("ok", "harmed", "hung")]
        yield self._none("sessions harmed on connections that no fault may end", "harmed")
        yield self._none("sessions that ended without a named error", "without a named error")
        yield self._none("sessions that hung", "hung")
        yield self._none("transfers that succeeded with wrong data", "wrong data")
        yield self._longest("end of a session after the loss was detected", self.limits.end_s,
                            (v.session.over - v.detected for v in ended if v.detected))
        repeats = [(v, self.judge.repeat_s(v.session, v.fault)) for v in ended]
        yield self._longest("killed: until a repeat had succeeded, from the cut",
                            self.limits.repeat_s,
                            (s for v, s in repeats if s is not None and _is_kill(v.fault)))
        yield self._longest("others: until a repeat had succeeded, from the session's end",
                            self.limits.repeat_s,
                            (s for v, s in repeats if s is not None and not _is_kill(v.fault)))
        yield self._none("transfers without a repeat that succeeded", "never repeated")
        yield self._longest("stall of a shell that no fault touched", self.limits.stall_s,
                            self._stalls())
        n = sum(not is_flat(m) for m in self.memory.values())
        yield Promise("processes that grew", "0", str(n), n == 0)
        yield self._longest("after a heavy fault: until all was Healthy", SETTLE_S,
                            self.recoveries)

    def _stalls(self):
        for v in self.verdicts:
            if not self.judge.touching(v.session):
                yield from (seconds for _, seconds in v.session.stalls)


def _is_kill(fault):
    return fault.kind.noticed == AT_ONCE and fault.kind.action == "kill"


def _on_signal(number, _frame):
    raise SystemExit(128 + number)


def run(ground, seconds, n_transfers, n_shells, seed, limits, kinds=KINDS, say=None):
    """All of it; returns the Report."""
    say = say or (lambda text: None)
    world = World(ground, seed)
    say("edges and agents are up")
    workload = Workload(world, n_transfers, n_shells, seed)
    sampler = Sampler(world)
    try:
        workload.start()
        time.sleep(WARM_S)
        sampler.note("loaded")
        faults = Faults(world, workload, seed, kinds, say)
        faults.run(seconds)
        world.wait_settled()
    finally:
        workload.stop(HUNG_WAIT_S)
        sampler.stop()
    say("all sessions have ended")
    wait_until(lambda: is_idle(world), "the edges to be without streams", SETTLE_S)
    sampler.note("after")
    evidence = Evidence({name: edge.process.log_path for name, edge in world.edges.items()})
    return Report(workload.sessions, faults.done, evidence, sampler.memory, faults.recoveries,
                  limits)


HUNG_WAIT_S = 120


def is_idle(world):
    return all(c["streams"] <= 1 for edge in world.edges.values() for c in edge.connections())
