# SPDX-License-Identifier: Apache-2.0
"""Runs the cases of support/h2cases.py: each alone on its connection, somebody else unharmed."""

from types import SimpleNamespace

from peers.h2raw import outcome, settle
from support.case import Case
from support.h2cases import (CLOSED, DEVIATIONS, DEVIATIONS_OF_OPENERS, ENDED, IDLE, OPEN,
                             RESET)
from support.h2frames import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, MAX_FRAME, PING, RST,
                              SETTINGS, code_of, fields, frame, settings)
from support.waiting import wait_until

ECHO, SILENT = "10.116.0.3", "10.116.0.4"    # what an origin that never ends anything is at
STEP = 10       # numbers that one case may use


class Conformance(Case):
    """Of a subclass: take() gives a connection in raw mode with `next`, a stream number that
    nobody has used, release() takes it back, assert_others_served(); `plain` and
    fields_for(host) are header fields."""

    opener = False

    def run_cases(self, cases):
        for case in cases:
            with self.subTest(case.name, rule=case.rule, state=case.state):
                p = self.prepare(case.state)
                try:
                    since = len(p.conn.h2.frames)
                    settle(p.conn, case.send(p))
                    self.assertIn(outcome(p.conn, p.s, since), self.wanted(case))
                finally:
                    self.release(p, case)
                self.assert_others_served()

    def check_answers(self):
        """PINGs and SETTINGS are answered once each, answers never (6.5.3, 6.7)."""
        p = self.prepare(IDLE)
        before = len([f for f in p.conn.h2.of(SETTINGS) if f.flags & ACK])
        settle(p.conn, frame(PING, 0, 0, b"question") * 3 + settings((MAX_FRAME, 20000)) * 3 +
               frame(PING, ACK, 0, b"question"))
        self.assertEqual(p.conn.h2.n_acks(b"question"), 3)
        self.assertEqual(len([f for f in p.conn.h2.of(SETTINGS) if f.flags & ACK]), before + 3)
        p.conn.close()

    def check_stream_window(self):
        """Nobody reads, and we go on beyond the window (6.9.1)."""
        p = self.prepare(IDLE)
        p.conn.send_raw(frame(HEADERS, END_HEADERS, p.s, fields(*self.fields_for(SILENT))))
        for _ in range(64):
            settle(p.conn, frame(DATA, 0, p.s, bytes(16384)) * 64)
            got = outcome(p.conn, p.s).removeprefix("answered, ")
            if got not in ("answered", "ignored"):      # or not answered yet
                break
        self.assertIn(got, ("RST FLOW_CONTROL_ERROR", "GOAWAY FLOW_CONTROL_ERROR"))
        p.conn.close()
        self.assert_others_served()

    def wanted(self, case):
        """A deviation has to be as it is known: one that is gone leaves the table."""
        known = DEVIATIONS_OF_OPENERS if self.opener else DEVIATIONS
        if case.name not in known:
            return case.want
        self.assertNotIn(known[case.name], case.want, "that is no deviation")
        return (known[case.name],)

    def prepare(self, state):
        conn = self.take()
        p = SimpleNamespace(conn=conn, s=conn.next, plain=self.plain, opener=self.opener,
                            largest=conn.h2.settings.get(MAX_FRAME, 16384))
        conn.next += STEP
        if state != IDLE:
            self.bring_to(p, state)
        return p

    def bring_to(self, p, state):
        """A request of ours, answered, and what makes its state."""
        ends = END_STREAM if state == CLOSED else 0
        p.request = self.fields_for(SILENT if state == ENDED else ECHO)
        p.conn.send_raw(frame(HEADERS, END_HEADERS | ends, p.s, fields(*p.request)))
        p.conn.wait(lambda: p.conn.h2.statuses.get(p.s) or p.conn.closed, "the answer")
        self.assertEqual(p.conn.h2.statuses.get(p.s), "200")
        if state == CLOSED:
            p.conn.wait(lambda: any(f.flags & END_STREAM for f in p.conn.h2.of(DATA, p.s)),
                        "the peer's end")
        elif state == ENDED:
            p.conn.send_raw(frame(DATA, END_STREAM, p.s))
        elif state == RESET:
            p.conn.send_raw(frame(RST, 0, p.s, code_of("CANCEL")))
        else:
            self.assertEqual(state, OPEN)

    def assert_no_bytes_left(self, edge):
        wait_until(lambda: edge.json("status")["buffered_bytes"] == 0, "all bytes passed on",
                   show=lambda: str(edge.json("status")))

    def assert_nothing_left(self, list_connections, n_streams=0):
        """@list_connections: as a control socket lists them."""
        wait_until(lambda: sum(c["streams"] for c in list_connections()) == n_streams,
                   "the streams of all cases to be gone", show=lambda: str(list_connections()))
