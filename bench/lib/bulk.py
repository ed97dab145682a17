# SPDX-License-Identifier: Apache-2.0
"""Groups that send something through subjects: bulk, round trips, new streams, system calls.

A group takes the keys that the rows want, and returns a list of samples (dicts of figures) for each;
the n-th samples of all keys were taken one after another, so that they are pairs.
"""

import re
import shutil
import signal
import subprocess
import time

from lib.process import Failure, Skip, cpu_s, memory_kb, poll

GIB = 2**30
PINGS, CALL_PINGS = 3000, 2000
STREAMS_AT = {1: 400, 32: 1600}     # new streams per sample, by how many at once
WARM_SHARE = 8
TIDY_S = 12         # an agent looks every 10 s for memory to give back


def spread(stand, keys, pairs, take, subject_of):
    """@take(subject, key) for all keys in turn, @pairs times; a key that can't be measured has the
    reason in place of its samples."""
    samples, ready = {}, []
    for key in keys:
        try:
            take(stand.subject(subject_of(key)), key, True)
            samples[key] = []
            ready.append(key)
        except (Skip, Failure) as e:
            samples[key] = e
    for pair in range(pairs):
        # Turned around every second time: whoever comes first has no advantage.
        for key in ready[::-1] if pair % 2 else list(ready):
            try:
                samples[key].append(take(stand.subject(subject_of(key)), key, False))
            except Failure as e:
                samples[key] = e
                ready.remove(key)
    return samples


def _cost(subject, work):
    """(what @work returned, the agent's CPU seconds, the edge's)."""
    edge_pid = subject.edge.pid if subject.edge else None
    agent, edge = cpu_s(subject.agent.pid), cpu_s(edge_pid) if edge_pid else 0
    result = work()
    return (result, cpu_s(subject.agent.pid) - agent,
            cpu_s(edge_pid) - edge if edge_pid else 0)


def bulk(stand, keys, options):
    """Keys: (verb, subject, streams). Figures per GiB and MiB/s; "both" is agent and edge."""
    n_bytes = options.mib * 2**20

    def take(subject, key, warm):
        verb, _, streams = key
        share = n_bytes // WARM_SHARE if warm else n_bytes
        done, agent, edge = _cost(subject, lambda: stand.tools.load(
            verb, subject.entry, streams, share, 0))
        return {"cpu": agent * GIB / done["bytes"], "edge": edge * GIB / done["bytes"],
                "both": (agent + edge) * GIB / done["bytes"],
                "mib_s": done["bytes"] / done["seconds"] / 2**20}
    return spread(stand, keys, options.pairs, take, lambda key: key[1])


def ping(stand, keys, options):
    """Keys: (subject,)."""
    def take(subject, _key, warm):
        done, agent, edge = _cost(subject, lambda: stand.tools.load(
            "ping", subject.entry, PINGS // WARM_SHARE if warm else PINGS))
        return {**done, "cpu_us": agent * 1e6 / PINGS, "edge_us": edge * 1e6 / PINGS}
    return spread(stand, keys, options.pairs, take, lambda key: key[0])


def opens(stand, keys, options):
    """Keys: (subject, at once)."""
    def take(subject, key, warm):
        n = STREAMS_AT[key[1]] // (WARM_SHARE if warm else 1)
        done, agent, edge = _cost(subject, lambda: stand.tools.load(
            "open", subject.entry, n, key[1]))
        return {"cpu_ms": agent * 1e3 / done["streams"], "edge_ms": edge * 1e3 / done["streams"],
                "per_s": done["streams"] / done["seconds"]}
    return spread(stand, keys, options.pairs, take, lambda key: key[0])


def calls(stand, keys, options):
    """Keys: (subject,). Once: a count has no noise worth a median."""
    if not shutil.which("strace"):
        raise Skip("strace isn't installed")

    def take(subject, _key, warm):
        if warm:
            return None
        path = stand.tools.file("strace.txt")
        tracer = stand.tools.child(("strace", "-c", "-f", "-o", path, "-p", subject.agent.pid),
                                   "strace", ready="attached")
        try:
            stand.tools.load("ping", subject.entry, CALL_PINGS)
        finally:
            tracer.stop(signal.SIGINT)
        with open(path, encoding="ascii") as f:
            total = re.search(r"^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total", f.read(),
                              re.M)
        if not total:
            raise Failure("strace printed no total")
        # 100 warm ones, and the stream's beginning and end, which is less than 1 %.
        return {"calls": int(total.group(1)) / (CALL_PINGS + 100)}
    return spread(stand, keys, 1, take, lambda key: key[0])


def hold(stand, keys, _options):
    """Keys: (subject, streams). KiB per idle stream of agent and edge, and what of it is still there
    after they were closed. Once, by processes of its own: a second time uses what the first has freed."""
    samples = {}
    for key in keys:
        name, n = key
        apart = None
        try:
            apart = stand.apart(f"hold-{name}-{n}") if name in ("adit", "peer") else stand
            samples[key] = [_hold(apart, apart.subject(name), n)]
        except (Skip, Failure) as e:
            samples[key] = e
        finally:
            if apart and apart is not stand:
                apart.close()
    return samples


def _private(subject):
    return memory_kb(subject.agent.pid)[1], memory_kb(subject.edge.pid)[1] if subject.edge else 0


def settled(read, quiet_s=1.0):
    """The value once it has stayed the same for a while."""
    value, since = read(), time.monotonic()
    end = since + 20
    while time.monotonic() < min(since + quiet_s, end):
        time.sleep(0.05)
        if (now := read()) != value:
            value, since = now, time.monotonic()
    return value


def _start_holder(stand, entry, n):
    holder = stand.tools.child((stand.tools.program("bench-load"), "hold", *entry, n), "hold",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if not holder.popen.stdout.readline():
        raise Failure(f"holding {n} streams: {holder.log_tail()}")
    return holder


def _hold(stand, subject, n):
    entries, users = stand.entries(subject, n)
    holders = []
    try:
        stand.tools.load("open", entries[0], 1, 1)
        before = settled(lambda: _private(subject))
        for entry in entries:
            holders.append(_start_holder(stand, entry, n // len(entries)))
        held = settled(lambda: _private(subject))
        for holder in holders:
            holder.popen.stdin.close()
            poll(lambda h=holder: not h.running(), "the streams' end")
        after = settled(lambda: _private(subject), TIDY_S)
    finally:
        for child in [*holders, *(user.process for user in users)]:
            child.stop()
    return {"agent_kib": (held[0] - before[0]) / n, "edge_kib": (held[1] - before[1]) / n,
            "agent_left_kib": (after[0] - before[0]) / n,
            "edge_left_kib": (after[1] - before[1]) / n}
