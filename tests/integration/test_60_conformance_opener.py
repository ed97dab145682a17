# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 from the side of who answers: a scripted agent, to which the edge opens streams.

HOST's tunnel is served by a real agent and stays well; what is asked of WILD goes to us.
"""

import socket

from peers.h2raw import RawConnection, outcome, settle
from support.case import main
from support.h2cases import (ALL, ANSWERED, BEGINNINGS, BLOCKS, COMPRESSION, CONTROL, IDLE, IGNORED,
                             MALFORMED, PROTOCOL, RESET, SETTINGS_VALUES, STREAM_CLOSED, WINDOWS,
                             case)
from support.h2frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE,
                              PUSH, RST, SETTINGS, WHOLE, code_of, fields, frame, u32)
from support.parties import ANSWER, ASKED, OpenerParty, answer
from support.tlsca import client_context
from support.waiting import wait_until

DATE = ("date", "Sun, 22 Nov 2026 17:05:03 GMT")


def malformed(name, rule, *pairs, flags=END_HEADERS):
    return case(name, rule, answer(*pairs, flags=flags), MALFORMED, state=ASKED)


def answered_then(name, rule, send, *want):
    return case(name, rule, lambda p: answer(ANSWER)(p) + send(p), *want, state=ASKED)


RESPONSES = [
    malformed("no :status", "8.3.2", DATE),
    malformed("no fields at all", "8.3.2"),
    malformed(":status twice", "8.3.2", ANSWER, ANSWER),
    malformed(":status of two digits", "8.3.2", (":status", "20")),
    malformed(":status of letters", "8.3.2", (":status", "abc")),
    malformed("empty :status", "8.3.2", (":status", "")),
    malformed("pseudo-header of requests", "8.3", ANSWER, (":path", "/")),
    malformed("unknown pseudo-header", "8.3", ANSWER, (":unknown", "x")),
    malformed(":status behind a field", "8.3", DATE, ANSWER),
    malformed("upper-case name", "8.2.1", ANSWER, ("Date", "x")),
    malformed("value with LF", "8.2.1", ANSWER, ("a", b"v\nw")),
    malformed("connection field", "8.2.2", ANSWER, ("connection", "close")),
    malformed("transfer-encoding field", "8.2.2", ANSWER, ("transfer-encoding", "chunked")),
    malformed("101", "8.6", (":status", "101")),
    malformed("interim answer that ends the stream", "8.1", (":status", "100"), flags=WHOLE),
    malformed("content-length without a body", "8.1.1", ANSWER, ("content-length", "5"),
              flags=WHOLE),
    case("answer after interim ones", "8.1",
         lambda p: answer((":status", "103"))(p) * 2 + answer(ANSWER)(p), IGNORED, state=ASKED),
    case("DATA before HEADERS", "8.1", lambda p: frame(DATA, 0, p.s, b"x"), MALFORMED, PROTOCOL,
         state=ASKED),
    case("end before HEADERS", "8.1", lambda p: frame(DATA, END_STREAM, p.s), MALFORMED, PROTOCOL,
         state=ASKED),
    case("DATA behind an interim answer", "8.1",
         lambda p: answer((":status", "100"))(p) + frame(DATA, 0, p.s, b"x"), MALFORMED, PROTOCOL,
         state=ASKED),
    case("body above content-length", "8.1.1",
         lambda p: answer(ANSWER, ("content-length", "1"))(p) + frame(DATA, 0, p.s, b"xyz"),
         MALFORMED, state=ASKED),
    case("interim answers without end", "8.1, 10.5",
         lambda p: answer((":status", "103"))(p) * 80000, "GOAWAY ENHANCE_YOUR_CALM", state=ASKED),
    answered_then("second answer", "8.1", answer(ANSWER), MALFORMED),
    answered_then("interim answer behind the answer", "8.1", answer((":status", "100")),
                  MALFORMED),
    answered_then("trailers", "8.1", answer(DATE, flags=WHOLE), IGNORED),
    answered_then("trailers that don't end the stream", "8.1", answer(DATE), MALFORMED),
    answered_then("trailers with a pseudo-header", "8.1", answer(ANSWER, flags=WHOLE), MALFORMED),
    answered_then("DATA behind the trailers", "5.1",
                  lambda p: answer(DATE, flags=WHOLE)(p) + frame(DATA, 0, p.s, b"x"),
                  STREAM_CLOSED, "RST STREAM_CLOSED"),
    case("answer cut by CONTINUATION", "6.10",
         lambda p: frame(HEADERS, 0, p.s, fields(ANSWER)[:5]) +
         frame(CONTINUATION, END_HEADERS, p.s, fields(ANSWER)[5:]), IGNORED, state=ASKED),
    case("HEADERS on a stream nobody opened", "5.1", answer(ANSWER), PROTOCOL),
    case("request", "5.1.1", lambda p: frame(HEADERS, WHOLE, 2, fields((":method", "GET"))),
         PROTOCOL),
    case("HEADERS on a reset stream", "5.1", answer(DATE, flags=WHOLE), IGNORED, STREAM_CLOSED,
         "RST STREAM_CLOSED", state=RESET),
    case("PUSH_PROMISE instead of an answer", "8.4",
         lambda p: frame(PUSH, END_HEADERS, p.s, u32(2) + fields((":method", "GET"))), PROTOCOL,
         state=ASKED),
    case("REFUSED_STREAM", "8.7", lambda p: frame(RST, 0, p.s, code_of("REFUSED_STREAM")), IGNORED,
         state=ASKED),
    case("GOAWAY that leaves the request out", "6.8",
         lambda p: frame(GOAWAY, 0, 0, u32(p.s - 2) + code_of("NO_ERROR")), IGNORED, "closed",
         state=ASKED),
]

BLOCKS_OF_RESPONSES = [c._replace(state=ASKED) for c in BLOCKS + COMPRESSION
                       if c.want != (ANSWERED,)]


class OpenerTest(OpenerParty):
    def release(self, p, case):
        """Whoever asked learns of the end; one that is as it was serves the next case, too."""
        if case in SETTINGS_VALUES + WINDOWS + CONTROL + RESPONSES + BLOCKS_OF_RESPONSES:
            p.conn.close()
        elif case.state != IDLE and not p.conn.closed:
            self.client.reset(p.asked)
        if case.state != IDLE and p.conn.closed:
            self.client.wait(lambda: p.asked.closed, f"the end of what was asked: {case.name}")

    def check_stream_window(self):
        """The client doesn't read."""
        p = self.prepare(ASKED)
        p.asked.auto_credit = False
        p.conn.send_raw(answer(ANSWER)(p))
        for _ in range(64):
            settle(p.conn, frame(DATA, 0, p.s, bytes(16384)) * 64)
            got = outcome(p.conn, p.s, len(p.conn.h2.frames))
            if got != IGNORED:
                break
        self.assertIn(got, ("RST FLOW_CONTROL_ERROR", "GOAWAY FLOW_CONTROL_ERROR"))
        self.assert_others_served()
        p.conn.close()

    def test_beginnings(self):
        """The preface is the client's; our SETTINGS have to be first."""
        for beginning in BEGINNINGS:
            hello = beginning.send(None).removeprefix(PREFACE)
            if hello == frame(SETTINGS):
                continue
            with self.subTest(beginning.name, rule=beginning.rule):
                sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
                conn = RawConnection(client_context(self.edge.ca_file).wrap_socket(
                    sock, server_hostname="127.0.0.1", do_handshake_on_connect=False), hello)
                self.addCleanup(conn.close)
                self.assertIn(outcome(settle(conn.start()), 1), beginning.want)
                self.assert_others_served()

    def test_cases(self):
        self.run_cases(ALL + RESPONSES + BLOCKS_OF_RESPONSES)
        self.check_answers()
        self.check_stream_window()
        self.conn.close()
        wait_until(lambda: {c["tunnel"] for c in self.edge.agents()} == {"t1"},
                   "our connections to be gone", show=lambda: str(self.edge.connections()))
        self.assert_nothing_left(self.edge.connections)
        self.assert_no_bytes_left(self.edge)


if __name__ == "__main__":
    main()
