# SPDX-License-Identifier: Apache-2.0
"""Groups about a connector that carries nothing: start, loss and return, memory, wake-ups, size."""

import os
import time

from lib.bulk import settled
from lib.process import Failure, Skip, cpu_s, memory_kb, poll, run, wakeups
from lib.stand import EXPECTED, Agent

IDLE_AGENTS = 25
WAKEUPS_S = 60


def start(stand, keys, options):
    """Keys: (subject,). From the start of the program to the edge having four registered
    connections of it, asked every millisecond; the CPU time and memory it took to get there."""
    samples = {key: [] for key in keys}
    connectors = {}
    for key in keys:
        try:
            connectors[key] = stand.connector(key[0])
        except Skip as e:
            samples[key] = e
    for _ in range(options.pairs):
        for key, connector in connectors.items():
            began = time.monotonic()
            connector.start().wait()
            elapsed = time.monotonic() - began
            rss, private = settled(lambda pid=connector.process.pid: memory_kb(pid))
            samples[key].append({"seconds": elapsed, "cpu_s": cpu_s(connector.process.pid),
                                 "rss_mb": rss * 1024 / 1e6, "private_mb": private * 1024 / 1e6})
            connector.stop()
            poll(lambda c=connector: not stand.edge.registered(c.name), "the agent to be gone")
    return samples


def cut(stand, keys, options):
    """Keys: (subject,). From the edge's closing of one connection to its being back."""
    samples = {}
    for key in keys:
        try:
            connector = stand.subject(key[0]).connector
            samples[key] = [{"seconds": _cut(stand, connector)} for _ in range(options.pairs)]
        except (Skip, Failure) as e:
            samples[key] = e
    return samples


def _cut(stand, connector):
    gone = poll(lambda: stand.edge.registered(connector.name), "a connection")[0]
    began = time.monotonic()
    stand.edge.control.ask("connection.close", id=gone)

    def back():
        ids = stand.edge.registered(connector.name)
        return gone not in ids and len(ids) == EXPECTED
    poll(back, "the connection's return")
    return time.monotonic() - began


def wake(stand, keys, _options):
    """Keys: (subject,). One agent each, idle for a minute, all at the same time."""
    samples, connectors = {}, {}
    for key in keys:
        try:
            connectors[key] = stand.subject(key[0]).connector
        except Skip as e:
            samples[key] = e
    time.sleep(5)       # what the last measurement left behind has gone
    before = {key: wakeups(c.process.pid) for key, c in connectors.items()}
    time.sleep(WAKEUPS_S)
    for key, connector in connectors.items():
        samples[key] = [{"per_s": (wakeups(connector.process.pid) - before[key]) / WAKEUPS_S}]
    return samples


def edge_memory(stand, keys, _options):
    """Key: ("edge",). KiB of an edge of its own per idle agent with four links."""
    edge = stand.apart("memory").edge
    agents = [Agent(stand.tools, edge, f"idle{i}", {}) for i in range(IDLE_AGENTS)]
    before = settled(lambda: memory_kb(edge.process.pid)[1])
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.wait()
    grown = settled(lambda: memory_kb(edge.process.pid)[1]) - before
    for agent in agents:
        agent.stop()
    edge.close()
    return {key: [{"kib": grown / IDLE_AGENTS}] for key in keys}


def _stripped_bytes(stand, program):
    copy = stand.tools.file("stripped")
    run(("strip", "-o", copy, program))
    return os.path.getsize(copy)


def size(stand, keys, _options):
    """Keys: (program,), its path in the build folder."""
    samples = {}
    for key in keys:
        program = os.path.join(stand.tools.build, *key)
        if os.path.exists(program):
            samples[key] = [{"kb": _stripped_bytes(stand, program) / 1000}]
        else:
            samples[key] = Skip(f"{key[0]} isn't built")
    return samples


def static(stand, keys, options):
    """Keys: ("static",): the agent without any library of the system, from the build folder beside."""
    program = os.path.join(os.path.dirname(stand.tools.build), "static", "cmd", "adit")
    if not os.path.exists(program):
        raise Skip("`make static` comes first")
    agent = Agent(stand.tools, stand.edge, "static", {}, program=program)
    samples = []
    for _ in range(options.pairs):
        agent.start().wait()
        rss, _private = settled(lambda: memory_kb(agent.process.pid))
        samples.append({"mb": _stripped_bytes(stand, program) / 1e6, "rss_mb": rss * 1024 / 1e6})
        agent.stop()
        poll(lambda: not stand.edge.registered(agent.name), "the agent to be gone")
    return {key: samples for key in keys}
