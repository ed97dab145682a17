# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 from the side of who opens streams: the edge's ingress and the agent answer."""

from peers import edge as scripted
from peers.h2raw import RawConnection, outcome, settle
from support.case import main
from support.conformance import SILENT
from support.h2cases import ACCEPTORS, BEGINNINGS, CONTROL, SETTINGS_VALUES, WINDOWS
from support.h2frames import END_HEADERS, HEADERS, MAX_STREAMS, RST, code_of, fields, frame
from support.parties import AgentParty, IngressParty
from support.waiting import wait_until

N_STREAMS = 5   # of a connection of a client


class IngressTest(IngressParty):
    n_streams = N_STREAMS

    def release(self, p, _case):
        p.conn.close()

    def test_beginnings(self):
        for case in BEGINNINGS:
            with self.subTest(case.name, rule=case.rule):
                conn = settle(self.dial(case.send(None)))
                self.assertIn(outcome(conn, 1), case.want)
                self.assert_others_served()

    def test_streams_over_the_limit(self):
        """5.1.2; one that ended makes room."""
        conn = self.take()
        self.assertEqual(conn.h2.settings[MAX_STREAMS], N_STREAMS)
        wanted = fields(*self.fields_for(SILENT))
        numbers = range(1, 2 * N_STREAMS, 2)
        conn.send_raw(b"".join(frame(HEADERS, END_HEADERS, n, wanted) for n in numbers))
        conn.wait(lambda: all(conn.h2.statuses.get(n) == "200" for n in numbers), "all answers")
        conn.send_raw(frame(RST, 0, 1, code_of("CANCEL")) +
                      frame(HEADERS, END_HEADERS, 101, wanted))
        conn.wait(lambda: conn.h2.statuses.get(101) == "200", "the answer in the place of another")
        settle(conn, frame(HEADERS, END_HEADERS, 103, wanted))
        # A stream error, which may be made one of the connection (5.4.1).
        self.assertIn(outcome(conn, 103),
                      ("RST REFUSED_STREAM", "RST PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR"))
        self.assert_others_served()

    def test_cases(self):
        self.run_cases(ACCEPTORS)
        self.check_answers()
        self.check_stream_window()
        self.other.close()
        wait_until(lambda: all(c["kind"] != "client" for c in self.edge.connections()),
                   "the clients to be gone", show=lambda: str(self.edge.connections()))
        self.assert_nothing_left(self.edge.connections)
        self.assert_no_bytes_left(self.edge)
        self.assert_nothing_left(self.stack.agent.connections)


class AgentTest(AgentParty):
    def release(self, p, case):
        """One that is as it was serves the next case, too."""
        self.spare = p.conn
        if case in SETTINGS_VALUES + WINDOWS + CONTROL:
            p.conn.close()

    def test_beginnings(self):
        """All connections but one are closed; those that the agent dials instead begin badly."""
        cases, begun = list(BEGINNINGS), []

        def connect(edge, tls, answer):
            if len(begun) == len(cases):
                return scripted.Connection(edge, tls, answer)
            begun.append(RawConnection(tls, cases[len(begun)].send(None)))
            return begun[-1]

        self.edge.connection = connect
        for conn in list(self.edge.connections):
            if conn is not self.good:
                conn.close()
        wait_until(lambda: len(begun) == len(cases), "a connection for each case",
                   show=self.agent.process.log_tail)
        for case, conn in zip(cases, begun):
            with self.subTest(case.name, rule=case.rule):
                self.assertIn(outcome(settle(conn), 1), case.want)
                self.assert_others_served()
        self.edge.wait_registered(16)

    def test_cases(self):
        self.run_cases(ACCEPTORS)
        self.check_answers()
        self.check_stream_window()
        for conn in self.taken:
            conn.close()
        # The control stream of each connection is not counted.
        self.assert_nothing_left(self.agent.connections)


if __name__ == "__main__":
    main()
