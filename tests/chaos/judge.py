# SPDX-License-Identifier: Apache-2.0
"""Who was harmed, and whether that was allowed.

The edges' logs say which connection carried each session (by the address that it asked for, which nobody
else did) and when each connection was lost. A session may only fail when its connection, or the user's
own, was touched by a fault that ends connections. Then it has to end soon after the loss was detected, to
say why, and to succeed when it is repeated.
"""

import dataclasses
import datetime
import re

from chaos.faults import ENDS

FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
NAMED = re.compile(r"^adit connect: \S.*")
# A connection that was silent for a while may still be given up that long after the fault: the limit of
# detection by a listener, and a retransmission that comes late.
LINGER_S = 20
# Clocks of the log (milliseconds) and of ours are the same, but not read at the same instant.
SLACK_S = 0.1


@dataclasses.dataclass
class Connection:
    edge: str
    ip: str
    port: int
    opened: float
    closed: float = float("inf")
    reason: str = None


@dataclasses.dataclass
class Stream:
    edge: str
    connection: str
    result: str
    time: float


@dataclasses.dataclass
class Verdict:
    session: object
    result: str             # of RESULTS
    fault: object = None    # that excuses it
    detected: float = None
    notes: str = ""


RESULTS = ("ok", "ended as it may", "harmed", "without a named error", "ended late", "hung",
           "wrong data", "repeated late", "never repeated")
FINE = RESULTS[:2]


def read_log(path):
    """(time, message, fields) of each line that is one of a daemon's log."""
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            stamp, _, rest = line.partition(" ")
            try:
                when = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
            except ValueError:
                continue
            head = FIELD.split(rest, maxsplit=1)[0]
            fields = {key: value.strip('"') for key, value in FIELD.findall(rest)}
            yield when, " ".join(head.split()[1:]), fields


class Evidence:
    """What the edges' logs say: connections by id, streams by the address that was asked for."""

    def __init__(self, logs):
        self.connections, self.streams = {}, {}
        for edge, path in logs.items():
            for when, message, fields in read_log(path):
                self._take(edge, when, message, fields)

    def _take(self, edge, when, message, fields):
        if message == "connection registered":
            ip, _, port = fields["peer"].rpartition(":")
            self.connections[fields["connection"]] = Connection(edge, ip, int(port), when)
        elif message == "connection closed" and fields["connection"] in self.connections:
            connection = self.connections[fields["connection"]]
            connection.closed, connection.reason = when, fields["reason"]
        elif message == "edge started":
            # What a killed one carried, it couldn't log the end of.
            for connection in self.connections.values():
                if connection.edge == edge and connection.closed == float("inf"):
                    connection.closed, connection.reason = when, "killed"
        elif message in ("stream ended", "stream refused", "stream asked for again"):
            address = fields["destination"].rpartition(":")[0]
            self.streams.setdefault(address, []).append(
                Stream(edge, fields.get("connection"), fields.get("result", "asked for again"),
                       when))


def _still_wanted(streams, edge):
    """Whether nothing was left but @edge: it was asked by nothing that its log knows, because it was
    killed or never reached, and others that were had no connector."""
    return all(s.edge != edge and s.result == "connector-down" for s in streams)


class Judge:
    def __init__(self, sessions, controls, faults, evidence, limits):
        self.sessions, self.faults, self.evidence, self.limits = sessions, faults, evidence, limits
        self.controls = controls
        self.repeat_of = {s.repeats.number: s for s in sessions if s.repeats}

    def verdicts(self):
        return [self._judge(s) for s in self.sessions if s.ended]

    # ---- what was touched ----

    def _overlaps(self, session, fault):
        linger_s = 0 if is_kill(fault) else LINGER_S
        return fault.began - SLACK_S <= session.ended and \
            session.began <= (fault.ended or float("inf")) + linger_s

    def _is_on(self, stream, fault):
        """Whether @stream's connection from the agent, as the edge has it, is of the fault's."""
        if fault.kind.target == "edge":
            return stream.edge == fault.edge
        if fault.kind.target == "way":
            return stream.edge == fault.edge
        c = self.evidence.connections.get(stream.connection)
        return c is not None and c.ip == fault.ip and fault.port in (None, c.port) and \
            fault.edge in (None, c.edge) and c.closed >= fault.began - SLACK_S

    def touching(self, session):
        """The faults that touched @session while it lived, the last one first."""
        streams = self.evidence.streams.get(session.address, [])
        found = []
        for fault in self.faults:
            if not self._overlaps(session, fault):
                continue
            if fault.kind.target == "user":
                hit = fault.session is session
            elif fault.kind.target in ("edge", "way") and _still_wanted(streams, fault.edge):
                hit = True
            else:
                hit = any(self._is_on(stream, fault) for stream in streams)
            if hit:
                found.append(fault)
        return sorted(found, key=lambda f: -f.began)

    def _was_cut(self, stream, fault):
        """Whether @stream was put on a connection that @fault had cut before."""
        if fault.kind.target not in ("agent", "connection"):
            return False
        c = self.evidence.connections.get(stream.connection)
        return c is not None and c.opened < fault.began and self._is_on(stream, fault)

    def _may_end(self, session, fault):
        """A fault of the agents' side ends a session by the loss of its connection and no other way."""
        if fault.kind.effect != ENDS or fault.kind.target in ("edge", "way", "user"):
            return fault.kind.effect == ENDS
        streams = self.evidence.streams.get(session.address, [])
        lost = [self.evidence.connections[s.connection] for s in streams if self._is_on(s, fault)]
        return any(c.closed <= session.ended + SLACK_S for c in lost)

    def _detected(self, session, fault):
        """When the loss was known to whoever tells the user."""
        streams = self.evidence.streams.get(session.address, [])
        if any(s.result in ("asked for again", "connector-down") for s in streams):
            return self._detected_last(session, streams)
        if fault.kind.target == "edge":
            return fault.began
        if fault.kind.target not in ("way", "user"):
            for stream in streams:
                c = self.evidence.connections.get(stream.connection)
                if c and c.closed < float("inf") and c.ip == fault.ip:
                    return self._told(session) if self._is_cut_off(session, c.closed) else c.closed
        return self._told(session)

    @staticmethod
    def _told(session):
        return next((when for when, line in session.said if NAMED.match(line)), None)

    def _is_cut_off(self, session, lost):
        """Whether what the edge knew at @lost couldn't reach the user, whose own way was cut before:
        then `adit connect` alone can tell, when it has noticed that."""
        return any(f.kind.target in ("user", "way") and f.kind.effect == ENDS and
                   f.began <= lost <= (f.ended or float("inf")) + LINGER_S
                   for f in self.touching(session))

    def _detected_last(self, session, streams):
        """Of a session that was sent from one connection or edge to the next one: what it ended by."""
        told = [when for when, line in session.said if NAMED.match(line)]
        lost = [self.evidence.connections[s.connection].closed for s in streams
                if s.connection in self.evidence.connections]
        known = [when for when in told + lost if when <= session.ended + SLACK_S]
        return max(known, default=None)

    # ---- verdicts ----

    def _judge(self, session):
        if session.status == 0 and not session.is_right:
            return Verdict(session, "wrong data")
        touching = self.touching(session)
        fault = next((f for f in touching if self._may_end(session, f)), None)
        if session.ok:
            return Verdict(session, "ok")
        if session.hung:
            return Verdict(session, "hung", fault, notes=_names(touching))
        if not fault:
            return Verdict(session, "harmed", touching[0] if touching else None,
                           notes=_names(touching))
        return self._judge_end(session, fault)

    def _judge_end(self, session, fault):
        detected = self._detected(session, fault)
        verdict = Verdict(session, "ended as it may", fault, detected)
        if not any(NAMED.match(line) for _, line in session.said):
            verdict.result = "without a named error"
        elif detected and session.over - detected > self.limits.end_s:
            verdict.result = "ended late"
            verdict.notes = f"{session.over - detected:.1f} s after detection"
        elif session.kind != "shell" and not session.repeats and self.repeated(session) is None:
            verdict.result = "never repeated"
        elif (took := self.repeat_s(session, fault)) is not None and \
                took - self.machine_s(session) > self.limits.repeat_s:
            verdict.result = "repeated late"
            verdict.notes = f"{took:.1f} s, of which the machine {self.machine_s(session):.1f} s"
        return verdict

    def repeated(self, session):
        """When a repeat of the failed transfer @session had succeeded, or None."""
        while session.number in self.repeat_of:
            session = self.repeat_of[session.number]
            if session.ok and session.ended:
                return session.ended
        return None

    def _met_another(self, session, fault):
        """Whether it failed by, or waited for the loss of, another connection than its first; or lost
        packets, or had them late, of its own. @fault may have cut more connections than one, and
        the other edge learn of its own later."""
        streams = self.evidence.streams.get(session.address, [])
        if any(s.result in ("asked for again", "connection lost") or self._was_cut(s, fault)
               for s in streams):
            return True
        return any(f is not fault and (not session.ok if f.kind.effect == ENDS else
                                       f.began <= session.ended and session.began <= f.ended)
                   for f in self.touching(session))

    def machine_s(self, session):
        """What a transfer without us took, at worst, between the end of the failed @session and the
        success of its repeat."""
        end = self.repeated(session)
        overlapping = [b - a for a, b in self.controls if a <= end and b >= session.over]
        return max(overlapping, default=0)

    def repeat_s(self, session, fault):
        """From the cut until a repeat had succeeded: None for shells, which have no end, for what is
        itself a repeat, for those that were repeated later, and where the repeat met another
        connection that is cut, or a path that is bad. A cut that shows by silence alone is one for the
        user when the session ends."""
        end, repeat = self.repeated(session), self.repeat_of.get(session.number)
        if session.repeats or end is None or not repeat.timed or self._met_another(repeat, fault):
            return None
        # What the tool slept for isn't ours.
        end -= session.ended - session.over
        return end - self._cut(session, fault)

    def _cut(self, session, fault):
        """When the user was cut off. A kill is heard at once, unless the way was silent already."""
        others = any(f is not fault and f.kind.effect == ENDS for f in self.touching(session))
        return session.over if others or not is_kill(fault) else max(fault.began, session.began)


def is_kill(fault):
    return fault.kind.action == "kill"


def _names(faults):
    return ", ".join(f"{f.kind.name} ({f.text})" for f in faults) or "no fault touched it"
