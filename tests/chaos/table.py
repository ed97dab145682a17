# SPDX-License-Identifier: Apache-2.0
"""The report: what happened to whom, and whether the promises held."""

from chaos.faults import KINDS
from chaos.judge import FINE, RESULTS


def _rows(rows, right=()):
    """@rows of texts as aligned lines; the columns @right are flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(text.rjust(w) if i in right else text.ljust(w)
                               for i, (text, w) in enumerate(zip(row, widths))).rstrip()


def _seconds(values):
    values = [v for v in values if v is not None]
    return f"{max(values):.2f}" if values else "-"


def faults(report):
    """Per kind: how often, how many sessions it ended, and the longest times."""
    rows = [("fault", "times", "ended", "detected", "then ended", "repeated", "from the cut")]
    for kind in KINDS:
        happened = [f for f in report.faults if f.kind is kind]
        if not happened:
            continue
        ended = [v for v in report.verdicts if v.fault in happened and v.result != "ok"]
        since = [(v.detected or v.session.ended) - max(v.fault.began, v.session.began)
                 for v in ended]
        rows.append((kind.name, str(len(happened)), str(len(ended)), _seconds(since),
                     _seconds(v.session.over - v.detected for v in ended if v.detected),
                     _seconds(_repeats(report, ended, lambda v: v.session.ended)),
                     _seconds(_repeats(report, ended,
                                       lambda v: max(v.fault.began, v.session.began)))))
    return list(_rows(rows, right=range(1, 7)))


def _repeats(report, verdicts, start_of):
    for v in verdicts:
        end = report.judge.repeated(v.session)
        if end and report.judge.repeat_of[v.session.number].timed:
            yield end - start_of(v)


def _repeats_of(report, failed):
    s = failed
    while s.number in report.judge.repeat_of:
        s = report.judge.repeat_of[s.number]
        where = [f"{x.edge} {x.connection} {x.result}"
                 for x in report.evidence.streams.get(s.address, [])]
        faults = [f.kind.name for f in report.judge.touching(s)]
        yield (f"      repeat {s.number} by {s.edge}: began {s.began - failed.ended:.2f} s after, "
               f"{s.ended - s.began:.2f} s, exit status {s.status}; {where}; {faults}; "
               f"{[(round(when - s.began, 2), line) for when, line in s.said][:2]}")


def sessions(report):
    kinds = sorted({v.session.kind for v in report.verdicts})
    results = [r for r in RESULTS if r in FINE or any(v.result == r for v in report.verdicts)]
    rows = [("sessions", "all", *results)]
    for kind in [*kinds, "all"]:
        of_kind = [v for v in report.verdicts if kind in (v.session.kind, "all")]
        rows.append((kind, str(len(of_kind)),
                     *(str(sum(v.result == r for v in of_kind)) for r in results)))
    return list(_rows(rows, right=range(1, 2 + len(results))))


def memory(report):
    rows = [("process", "RSS before", "under load", "peak", "after", "drift", "fds before", "peak",
             "after")]
    for name, m in report.memory.items():
        rows.append((name, *(f"{kib / 1024:.1f} MiB" for kib in
                             (m.before.kib, m.loaded.kib, m.peak.kib, m.after.kib)),
                     "-" if m.drift_kib is None else f"{m.drift_kib / 1024:+.1f} MiB",
                     *(str(n) for n in (m.before.fds, m.peak.fds, m.after.fds))))
    return list(_rows(rows, right=range(1, 9)))


def promises(report):
    rows = [("promise", "limit", "seen", "")]
    for p in report.promises:
        rows.append((p.text, p.limit, p.seen, "kept" if p.kept else "BROKEN"))
    return list(_rows(rows, right=(1, 2)))


def broken(report, at_most=20):
    """The sessions that a promise was broken to, each with what it said."""
    bad = [v for v in report.verdicts if v.result not in FINE]
    for v in bad[:at_most]:
        s = v.session
        yield (f"  session {s.number} ({s.kind}, {s.address}): {v.result}"
               f"{', ' + v.fault.kind.name + ' (' + v.fault.text + ')' if v.fault else ''}"
               f"{', ' + v.notes if v.notes else ''}; exit status {s.status}, "
               f"{s.ended - s.began:.1f} s")
        for stream in report.evidence.streams.get(s.address, []):
            yield f"      {stream.edge}: {stream.connection}: {stream.result}"
        for when, line in s.said[-3:]:
            yield f"      {when - s.began:.2f} s: {line}"
        if v.result == "repeated late":
            yield from _repeats_of(report, s)
    if len(bad) > at_most:
        yield f"  ... and {len(bad) - at_most} more"


def machine(report):
    took = sorted(b - a for a, b in report.controls)
    if took:
        yield (f"  * The same ssh to the same server without adit took {took[len(took) // 2]:.2f} s in the "
               f"median, {took[-1]:.2f} s at worst.")


def whole(report):
    for part in (faults, sessions, memory, promises):
        yield from part(report)
        yield ""
    yield from machine(report)
    yield ""
    yield from broken(report)
