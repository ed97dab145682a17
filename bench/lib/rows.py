# SPDX-License-Identifier: Apache-2.0
"""The rows of the table with their goals; what they need is measured by the groups.

A row names a group, the key of the sample that it is about (*subject*), maybe one to hold it against
(*baseline*), and a figure. With a baseline its value is the median of the pairs' ratios, else the
median. `must` is the bar, `aim` the goal.
"""

import dataclasses

from lib import bulk, idle, micro, path, reload, udp, up


@dataclasses.dataclass(frozen=True)
class Row:
    id: str
    text: str
    group: str
    subject: tuple
    figure: str
    unit: str = ""
    baseline: tuple = None
    baseline_figure: str = None     # None: the same
    must: float = None
    aim: float = None
    at_least: bool = False          # goals are lower bounds
    alone: bool = False             # only when ROWS asks for it: it takes long
    note: str = ""


GROUPS = {"bulk": bulk.bulk, "ping": bulk.ping, "opens": bulk.opens, "calls": bulk.calls,
          "hold": bulk.hold, "start": idle.start, "cut": idle.cut, "wake": idle.wake,
          "edge_memory": idle.edge_memory, "size": idle.size, "static": idle.static,
          "path": path.path, "routes": micro.routes, "nat": micro.nat, "reload": reload.reload,
          "udp": udp.udp, "up": up.up}

OUT, IN = "origin→edge", "edge→origin"
WAYS = (("get", "out", OUT), ("put", "in", IN))


def ratio(id, text, verb, subject, baseline, **goals):
    return Row(id, text, "bulk", (verb, *subject), "cpu", "s/GiB", (verb, *baseline), **goals)


DATA_PATH = (
    ratio("out-16k", f"{OUT}, 8 streams, 16 KiB frames: agent CPU/GiB ÷ coalesced TLS relay",
          "get", ("adit-16k", 8), ("coalesced", 8), must=1.25, aim=1.10),
    ratio("out-256k", f"{OUT}, 1 stream (256 KiB frames, where agreed): ÷ coalesced TLS relay",
          "get", ("adit", 1), ("coalesced", 1), must=1.10, aim=1.00),
    ratio("in-read-ahead", f"{IN}, 1 stream: ÷ TLS relay with 128 KiB read-ahead",
          "put", ("adit", 1), ("coalesced", 1), must=1.15, aim=1.05),
    ratio("out-plain", f"{OUT}, 1 stream: ÷ plain 16 KiB relay", "get", ("adit", 1), ("plain", 1),
          must=0.95, aim=0.80),
    ratio("in-plain", f"{IN}, 1 stream: ÷ plain 16 KiB relay", "put", ("adit", 1), ("plain", 1),
          must=0.95, aim=0.80),
    ratio("out-100", f"{OUT}: 100 streams ÷ 1 stream", "get", ("adit", 100), ("adit", 1),
          must=1.3, aim=1.15),
    ratio("in-100", f"{IN}: 100 streams ÷ 1 stream", "put", ("adit", 100), ("adit", 1),
          must=1.3, aim=1.15),
)

SMALL = (
    Row("calls", "agent's system calls per 64-byte round trip", "calls", ("adit",), "calls",
        must=8, aim=6),
    Row("ping-stunnel", "ping-pong p50 ÷ a pair of stunnels", "ping", ("adit",), "p50_us", "µs",
        ("stunnel",), aim=1.0, note="three processes of ours, two of theirs"),
    Row("open-1", "agent CPU per new stream, one at a time", "opens", ("adit", 1), "cpu_ms", "ms",
        must=0.10, aim=0.05),
    Row("open-32", "agent CPU per new stream, 32 at once", "opens", ("adit", 32), "cpu_ms", "ms",
        must=0.10, aim=0.05),
)

MEMORY = (
    Row("idle-rss", "idle with four connections: RSS", "start", ("adit",), "rss_mb", "MB",
        must=8, aim=7),
    Row("idle-private", "idle with four connections: private", "start", ("adit",), "private_mb",
        "MB", must=2, aim=1.5),
    Row("stream-memory", "user space per idle stream at 10,000", "hold", ("adit", 10000),
        "agent_kib", "KiB", must=1, aim=0.8),
    Row("stream-given-back", "  still held after they closed", "hold", ("adit", 10000),
        "agent_left_kib", "KiB", must=0.1, aim=0.05, note="the goal says: given back"),
    Row("wakeups", "idle wake-ups per second over 60 s", "wake", ("adit",), "per_s", "/s",
        must=2, aim=1.2, alone=True),
    Row("start", "start to four registered", "start", ("adit",), "seconds", "s", must=0.150,
        aim=0.060),
    Row("return", "loss of one connection to registered again", "cut", ("adit",), "seconds", "s",
        must=1),
)

PATH = (
    Row("far-out", f"100 ms × 1 Gbit/s, one stream, {OUT}: in the fifth second", "path",
        ("get", 0, 1), "fifth", "Mbit/s", must=900, aim=970, at_least=True),
    Row("far-in", f"100 ms × 1 Gbit/s, one stream, {IN}: in the fifth second", "path",
        ("put", 0, 1), "fifth", "Mbit/s", must=900, aim=970, at_least=True),
    Row("lossy-out", f"with 0.1 % loss, four streams on four connections, {OUT}", "path",
        ("get", 0.001, 4), "mean", "Mbit/s", aim=600, at_least=True),
    Row("lossy-in", f"with 0.1 % loss, four streams on four connections, {IN}", "path",
        ("put", 0.001, 4), "mean", "Mbit/s", aim=600, at_least=True),
)

FILES = (
    Row("size", "adit, stripped, dynamic", "size", ("cmd/adit",), "kb", "kB", must=700, aim=450),
    Row("static-size", "static agent, stripped: file", "static", ("static",), "mb", "MB", must=6.5,
        aim=5.5),
    Row("static-rss", "static agent: idle RSS", "static", ("static",), "rss_mb", "MB", must=6.5,
        aim=5.5),
)

EDGE = (
    Row("edge-out", f"edge CPU/GiB, {OUT} ÷ two coalesced relays", "bulk", ("get", "adit", 1),
        "edge", "s/GiB", ("get", "coalesced", 1), "both", must=1.25, aim=1.10),
    Row("edge-in", f"edge CPU/GiB, {IN} ÷ two coalesced relays", "bulk", ("put", "adit", 1),
        "edge", "s/GiB", ("put", "coalesced", 1), "both", must=1.25, aim=1.10),
    Row("edge-agent", "edge memory per idle agent (four links)", "edge_memory", ("edge",), "kib",
        "KiB", must=220, aim=180),
    Row("edge-stream", "edge memory per idle client stream, at 10,000", "hold", ("adit", 10000),
        "edge_kib", "KiB", must=2, aim=1.2),
)

# No goals: what the ratios above come from.
SEEN = tuple(
    Row(f"rate-{way}-{subject}", f"throughput of one stream, {text}: {subject}", "bulk",
        (verb, subject, 1), "mib_s", "MiB/s", at_least=True)
    for verb, way, text in WAYS for subject in ("adit", "coalesced", "plain", "direct"))

UDP = (
    Row("udp-up", "UDP, one flow up: datagrams", "udp", ("send",), "per_s", "/s", at_least=True),
    Row("udp-up-loss", "UDP, one flow up: loss", "udp", ("send",), "loss", "%"),
    Row("udp-echo", "UDP, 64 unanswered at a time: answers", "udp", ("echo",), "per_s", "/s",
        at_least=True),
    Row("udp-flows", "UDP, 1,000 new flows: all answered after", "udp", ("flows",), "seconds", "s"),
)

OTHERS = (
    Row("up-out", f"adit up, one stream, {OUT}: throughput ÷ adit connect --listen", "up",
        ("get", "up"), "mib_s", "MiB/s", ("get", "connect"), aim=0.6, at_least=True),
    Row("up-in", f"adit up, one stream, {IN}: throughput ÷ adit connect --listen", "up",
        ("put", "up"), "mib_s", "MiB/s", ("put", "connect"), aim=0.6, at_least=True),
    Row("up-cpu-out", f"adit up, {OUT}: client CPU/GiB ÷ adit connect --listen", "up",
        ("get", "up"), "cpu", "s/GiB", ("get", "connect")),
    Row("up-cpu-in", f"adit up, {IN}: client CPU/GiB ÷ adit connect --listen", "up",
        ("put", "up"), "cpu", "s/GiB", ("put", "connect")),
    Row("reload-edge", "reload of 10,000 routes: the edge routes by the new set", "reload",
        ("reload",), "taken_ms", "ms", aim=50),
    Row("reload-stall", "  longest round trip of a stream meanwhile", "reload", ("reload",),
        "stall_ms", "ms", aim=5),
    Row("reload-quiet", "  in as long a time without a reload", "reload", ("quiet",), "stall_ms",
        "ms"),
    Row("routes-flat", "look-up in 10,000 routes, prefixes of all kinds", "routes", ("flat",), "ns",
        "ns", aim=1000, alone=True),
    Row("routes-nested", "look-up in 10,000 routes, nested as deep as IPv6 allows", "routes",
        ("nested",), "ns", "ns", aim=1000, alone=True),
    Row("routes-bytes", "memory per route", "routes", ("flat",), "bytes", "B", aim=200, alone=True),
    Row("nat-packet", "adit up's engine per packet, warm", "nat", ("warm",), "ns", "ns",
        alone=True),
)


def _against(name):
    """adit beside another connector, through the same edge, in the same run."""
    for verb, way, text in WAYS:
        for streams in (1, 8):
            key, other = (verb, "adit", streams), (verb, name, streams)
            what = f"{text}, {streams} stream{'s' * (streams > 1)}"
            yield Row(f"{name}-{way}-{streams}", f"{what}: agent CPU/GiB ÷ {name}", "bulk", key,
                      "cpu", "s/GiB", other)
            yield Row(f"{name}-{way}-{streams}-rate", f"{what}: throughput ÷ {name}", "bulk", key,
                      "mib_s", "MiB/s", other, at_least=True)
            yield Row(f"{name}-{way}-{streams}-edge", f"{what}: edge CPU/GiB ÷ with {name}", "bulk",
                      key, "edge", "s/GiB", other)
    yield Row(f"{name}-ping", f"ping-pong p50 ÷ {name}", "ping", ("adit",), "p50_us", "µs", (name,))
    yield Row(f"{name}-ping-cpu", f"agent CPU per round trip ÷ {name}", "ping", ("adit",), "cpu_us",
              "µs", (name,))
    for at_once in (1, 32):
        yield Row(f"{name}-open-{at_once}", f"new streams per second, {at_once} at once ÷ {name}",
                  "opens", ("adit", at_once), "per_s", "/s", (name, at_once), at_least=True)
        yield Row(f"{name}-open-{at_once}-cpu", f"agent CPU per new stream, {at_once} at once ÷ "
                  f"{name}", "opens", ("adit", at_once), "cpu_ms", "ms", (name, at_once))
    for n in (1000, 10000):
        yield Row(f"{name}-hold-{n}", f"agent memory per idle stream at {n:,} ÷ {name}", "hold",
                  ("adit", n), "agent_kib", "KiB", (name, n))


def _connector(name):
    yield Row(f"{name}-idle", f"idle memory, private ÷ {name}", "start", ("adit",), "private_mb",
              "MB", (name,))
    yield Row(f"{name}-idle-rss", f"idle memory, RSS ÷ {name}", "start", ("adit",), "rss_mb", "MB",
              (name,))
    yield Row(f"{name}-start", f"start to four registered ÷ {name}", "start", ("adit",), "seconds",
              "s", (name,))
    yield Row(f"{name}-return", f"loss to registered again ÷ {name}", "cut", ("adit",), "seconds",
              "s", (name,))


def rows(peer, with_ssh):
    """All rows of this run, in the table's order."""
    table = [*DATA_PATH, *SMALL, *MEMORY, *PATH, *FILES, *EDGE, *SEEN, *UDP, *OTHERS]
    if peer:
        table += [*_against("peer"), *_connector("peer")]
    if with_ssh:
        table += _against("ssh")
    return table
