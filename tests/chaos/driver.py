# SPDX-License-Identifier: Apache-2.0
"""One run: the world, the workload, the faults, and the report with what was promised.

Bounded: a session has a process group of its own, which is killed after HUNG_S, and there are as many at a
time as was asked for.
"""

import dataclasses
import os
import threading
import time

from chaos.faults import KINDS, Faults
from chaos.judge import LINGER_S, Evidence, Judge, is_kill
from chaos.workload import HUNG_S, Workload
from chaos.world import World
from support.waiting import wait_until

WARM_S = 6          # until the load runs, before the first fault
SAMPLE_EVERY_S = 1
SETTLE_S = 60
GROWTH_FDS = 4
DRIFT_SAMPLES = 60  # of one process, below which there is no drift to speak of


@dataclasses.dataclass
class Limits:
    """The issue's, times @factor: where others use the machine at the same time, a test proves the event
    and a generous deadline, and only a run by itself the figures."""

    factor: float = 1.0
    # After all sessions have ended, above what it was before them: libc keeps some of what the most of
    # them needed. And under load, from the second to the last quarter of a process's time.
    growth_kib: int = 16 * 1024

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
    history: dict = dataclasses.field(default_factory=dict)     # of a process id: RSS each second

    @property
    def drift_kib(self):
        """Of the process that lived longest, or None."""
        longest = max(self.history.values(), key=len, default=[])
        n = len(longest) // 4
        if len(longest) < DRIFT_SAMPLES:
            return None
        return (sum(longest[-n:]) - sum(longest[n:2 * n])) / n


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
                if now.kib:
                    self.memory[name].history.setdefault(process.pid, []).append(now.kib)

    def note(self, field):
        for name, process in self.world.daemons().items():
            setattr(self.memory[name], field, sample(process))

    def stop(self):
        self.ended.set()
        self.thread.join()


def is_flat(m, growth_kib):
    return m.after.fds <= m.before.fds + GROWTH_FDS and \
        m.after.kib <= m.before.kib + growth_kib and (m.drift_kib or 0) <= growth_kib / 2


class Report:
    def __init__(self, workload, faults, evidence, memory, recoveries, findings, limits):
        self.faults, self.evidence, self.memory, self.limits = faults, evidence, memory, limits
        self.recoveries, self.findings = recoveries, findings
        self.controls = workload.controls
        self.judge = Judge(workload.sessions, self.controls, faults, evidence, limits)
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
        repeats = [v for v in ended if self.judge.repeat_s(v.session, v.fault) is not None]
        yield self._repeated("killed: until a repeat had succeeded, from the cut",
                             [v for v in repeats if is_kill(v.fault)])
        yield self._repeated("others: until a repeat had succeeded, from the session's end",
                             [v for v in repeats if not is_kill(v.fault)])
        yield self._none("transfers without a repeat that succeeded", "never repeated")
        yield Promise("findings of sanitizers", "0", str(len(self.findings)), not self.findings)
        yield self._longest("stall of a shell while no fault touched it", self.limits.stall_s,
                            self._stalls())
        n = sum(not is_flat(m, self.limits.growth_kib) for m in self.memory.values())
        yield Promise("processes that grew", "0", str(n), n == 0)
        yield self._longest("after a heavy fault: until all was Healthy", SETTLE_S,
                            self.recoveries)

    def _repeated(self, text, verdicts):
        """One that took longer than the limit by what ssh alone took is counted as the machine's."""
        promise = self._longest(text, self.limits.repeat_s,
                                (self.judge.repeat_s(v.session, v.fault) for v in verdicts))
        if not promise.kept and not any(v.result == "repeated late" for v in verdicts):
            promise.kept, promise.seen = True, promise.seen + " *"
        return promise

    def _stalls(self):
        for v in self.verdicts:
            touching = self.judge.touching(v.session)
            yield from (seconds for asked, seconds in v.session.stalls if not any(
                f.began <= asked + seconds and asked <= f.ended + LINGER_S for f in touching))


def run(ground, seconds, n_transfers, n_shells, seed, limits, say=None, **schedule):
    """All of it; returns the Report. @schedule: of Faults.run()."""
    say = say or (lambda text: None)
    world = World(ground, seed)
    say("edges and agents are up")
    workload = Workload(world, n_transfers, n_shells, seed)
    sampler = Sampler(world)
    faults = Faults(world, workload, seed, say)
    patience_s = 0
    try:
        workload.start()
        time.sleep(WARM_S)
        sampler.note("loaded")
        faults.run(seconds, **schedule)
        world.wait_settled()
        patience_s = HUNG_S + SETTLE_S
    finally:
        workload.stop(patience_s)
        sampler.stop()
    say("all sessions have ended")
    wait_until(lambda: is_idle(world), "the edges to be without streams", SETTLE_S)
    sampler.note("after")
    evidence = Evidence({name: edge.process.log_path for name, edge in world.edges.items()})
    return Report(workload, faults.done, evidence, sampler.memory, faults.recoveries,
                  findings(ground, workload), limits)


def is_idle(world):
    """But for the control streams."""
    return all(c["streams"] <= 1 for edge in world.edges.values() for c in edge.connections())


def findings(ground, workload):
    """Of the daemons, in their logs, and of `adit connect`, in what users saw."""
    return [r for r in (p.sanitizer_report() for p in ground.processes) if r] + \
        [line for s in workload.sessions for _, line in s.said if "Sanitizer" in line]
