# SPDX-License-Identifier: Apache-2.0
"""An agent that lies, with credentials of its own: it gets what it is granted and no more, and
another tunnel's agent, its users and the edge's log notice nothing."""

import os
import uuid

from peers import agent as stock
from peers import rpc
from peers.capnp import Struct, StructList
from peers.client import Client, load_token
from support import origin
from support.case import Case, main
from support.h2frames import DATA, END_HEADERS, END_STREAM, HEADERS, RST, fields, frame
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

ROUTES_MAX = 16384
MINE = "10.117.0.0/16"
THERE = "10.117.0.9"
# Would end a line of the log, or rule a terminal.
INJECTION = "1\r\n2026-01-01T00:00:00.000Z ERR forged\x1b[31m\x07\x9b31m"


class Evil(stock.Agent):
    """Takes streams and leaves them to the test."""

    def __init__(self, *args, **options):
        self.taken = []
        super().__init__(*args, captured=False, **options)

    def on_request(self, stream):
        if "cf-cloudflared-proxy-src" in stream.headers:
            self.taken.append(stream)
        else:
            super().on_request(stream)

    def ask(self, question, routes=(), networks=(), generation=1, last=True):
        """One call of an advertisement; its Return."""
        params = Struct(2, 4).put("Q", 0, generation).put("B", 8, 2 if last else 0)
        params.point(0, bytes(16)).point(1, bytes(32))
        params.point(2, StructList(0, 2, [Struct(0, 2).point(0, n).point(1, "") for n in networks]))
        params.point(3, StructList(0, 3, [Struct(0, 3).point(0, n).point(1, v).point(2, "")
                                          for n, v in routes]))
        self.tell(rpc.call(question, 0, params, interface=rpc.ROUTES))
        return self.wait(lambda: self.closed or next(
            (r for r in self.returns if r.id == question), None), "the answer")

    def verdicts(self, *args, **options):
        answer = self.ask(*args, **options)
        return [(bool(v.get("B", 0) & 1), v.text(0)) for v in answer.results.structs(0)]


class HostileCase(Case):
    edge_settings = "limits:\n  handshakes-per-second: 100000\n"

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port, edge_settings=self.edge_settings)
        self.edge = self.stack.edge
        self.mine = self.edge.create_tunnel("evil", (MINE,))
        self.edge.admin("route", "add", MINE, "evil")
        self.edge.admin("client", "grant", "add", "alice", MINE)
        self.held = self.stack.popen()
        echo_line(self.held, "before")

    def tearDown(self):
        echo_line(self.held, "after")
        echo_line(self.stack.popen(), "new")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        super().tearDown()

    def evil(self, kind=Evil, **changes):
        registration = stock.load_registration(self.mine)
        registration.features.append("adit/1")
        vars(registration).update(changes)
        agent = kind(("127.0.0.1", self.edge.port), self.edge.ca_file, registration)
        self.addCleanup(agent.close)
        agent.start().wait_registered()
        return agent

    def client(self, **options):
        client = Client(("127.0.0.1", self.edge.port), self.edge.ca_file,
                        load_token(self.stack.client), **options)
        self.addCleanup(client.close)
        return client.start()

    def of(self, tunnel):
        return [c for c in self.edge.agents() if c["tunnel"] == tunnel]


class Advertisements(HostileCase):
    def test_only_what_is_granted(self):
        evil = self.evil()
        lies = [f"{HOST}/32", "10.116.0.0/16", "10.116.0.0/24", "0.0.0.0/0", "::/0", "10.0.0.0/8",
                "127.0.0.0/8", "127.0.0.1/32", "169.254.169.254/32", "224.0.0.0/4", "::1/128",
                "fe80::/10", f"::ffff:{HOST}/128", "64:ff9b::/96", "2002::/16", "10.117.0.1/16",
                "10.117.0.0/33", "10.117.0.0/-1", "10.117.0.0/016", "010.117.0.0/16",
                "", " 10.117.0.0/16", "localhost", "10.117.0.0/16%lo"]
        verdicts = evil.verdicts(2, [(lie, "") for lie in lies] + [(MINE, "")])
        for lie, (accepted, reason) in zip(lies, verdicts):
            with self.subTest(lie):
                self.assertFalse(accepted)
                self.assertTrue(reason)
        self.assertTrue(verdicts[-1][0], verdicts[-1])
        listed = self.edge.json("route", "list")["routes"]
        self.assertEqual({r["network"] for r in listed if r["tunnel"] == "evil"}, {MINE})

    def test_networks_of_others(self):
        self.edge.admin("vnet", "add", "secret")
        names = ["secret", "nowhere"]
        evil = self.evil()
        verdicts = evil.verdicts(2, [(MINE, n) for n in names], networks=names)
        self.assertEqual([accepted for accepted, _ in verdicts], [False] * 4, verdicts)
        for routes, networks in (([(INJECTION[:60], "")], ()), ([(MINE, INJECTION[:60])], ()),
                                 ([], [INJECTION[:60]])):
            answer = evil.ask(3, routes, networks, generation=2)
            self.assertEqual(answer.outcome, rpc.EXCEPTION)
            self.assertIn("not text", answer.reason)
            evil.returns.clear()

    def test_too_many(self):
        evil = self.evil()
        routes = [(f"10.117.{i >> 8 & 255}.{i & 255}/32", "") for i in range(ROUTES_MAX + 1)]
        for n in range(ROUTES_MAX // 256):
            part = evil.ask(2 + n, routes[n * 256:(n + 1) * 256], last=False)
            self.assertEqual(part.outcome, rpc.RESULTS)
        over = evil.ask(2 + ROUTES_MAX // 256, routes[ROUTES_MAX:])
        self.assertEqual((over.outcome, over.reason), (rpc.EXCEPTION, "too many routes"))
        # Nothing of it is in force, and the next set is as good as any.
        self.assertEqual(evil.verdicts(100, [(MINE, "")], generation=2), [(True, "")])
        self.assertEqual([c["state"] for c in self.of("evil")], ["registered"])

    def test_one_entry_over_and_over(self):
        evil = self.evil()
        verdicts = evil.verdicts(2, [(MINE, "")] * 256)
        self.assertTrue(verdicts[0][0])
        listed = self.edge.json("route", "list")["routes"]
        self.assertEqual(len([r for r in listed if r["tunnel"] == "evil"]), 1)

    def test_sets_that_never_end(self):
        """Each begins anew: what was collected before is dropped."""
        evil = self.evil()
        for n in range(200):
            evil.ask(2 + n, [(MINE, "")] * 200, generation=2 + n, last=False)
        self.assertEqual(evil.verdicts(500, [(MINE, "")], generation=500), [(True, "")])


class Registrations(HostileCase):
    def test_secrets_of_others(self):
        victim = stock.load_registration(self.stack.tunnel)
        for changes in ({"tunnel_id": victim.tunnel_id}, {"secret": victim.secret},
                        {"secret": b""}, {"secret": bytes(4000)}, {"account": "0" * 32},
                        {"tunnel_id": bytes(16)}):
            with self.subTest(changes.keys()):
                agent = self.evil(**changes)
                self.assertIsNone(agent.details)
                if agent.refused:
                    self.assertIn("Unauthorized", agent.refused[0])
        self.assertEqual(self.of("evil"), [])

    def test_identity_of_another_tunnels_agent(self):
        before = self.of("t1")
        taken = before[0]
        agent = self.evil(client_id=uuid.UUID(taken["connector"]).bytes, index=taken["index"])
        self.assertIsNotNone(agent.details)
        self.assertEqual({c["id"] for c in self.of("t1")}, {c["id"] for c in before})
        agent.unregister()
        wait_until(lambda: not self.of("evil"), "the edge to let it go")
        self.assertEqual({c["id"] for c in self.of("t1")}, {c["id"] for c in before})

    def test_nothing_forged_in_the_log(self):
        """Neither in the log nor on the terminal of who looks."""
        for changes in ({"version": INJECTION}, {"arch": INJECTION}, {"account": INJECTION},
                        {"features": ["adit/1;" + INJECTION]}, {"version": "\x9b31m"},
                        {"version": INJECTION, "secret": bytes(32)}):
            agent = self.evil(**changes)
            self.assertIsNone(agent.details)
        shown = [self.edge.admin(*command) for command in (
            ("connections",), ("tunnel", "info", "evil"), ("tunnel", "list"), ("status",))]
        for text in [self.edge.process.log(), *shown]:
            self.assertFalse(set("\r\x1b\x07\x9b") & set(text), text)
            self.assertFalse([line for line in text.splitlines() if line.startswith("2026-01-01")])

    def test_any_index(self):
        for index in (255, 254, 17):
            agent = self.evil(index=index, client_id=bytes([index] * 16))
            self.assertIsNotNone(agent.details)
        self.assertEqual({c["index"] for c in self.of("evil")}, {255, 254, 17})
        agent = self.evil(client_id=bytes(3))
        self.assertIsNone(agent.details)

    def test_replaced_by_itself(self):
        me = stock.new_client_id()
        n_before = len(os.listdir(f"/proc/{self.edge.process.pid}/fd"))
        for _ in range(250):
            agent = self.evil(client_id=me)
            self.assertIsNotNone(agent.details)
        wait_until(lambda: len(self.edge.connections()) == 4 + 1 + 1,
                   "nothing but the last one to be left", show=lambda: str(self.edge.connections()))
        self.assertIsNotNone(agent.details)
        self.assertFalse(agent.closed)
        wait_until(lambda: len(os.listdir(f"/proc/{self.edge.process.pid}/fd")) <= n_before + 1,
                   "the descriptors to be back")


class Answers(HostileCase):
    def dial(self, evil, **options):
        client, n = self.client(**options), len(evil.taken)
        stream = client.connect(f"{THERE}:22")
        wait_until(lambda: len(evil.taken) > n, "the dial")
        return client, stream, evil.taken[-1].id

    def test_a_users_token_stays_at_the_edge(self):
        client, _, _ = self.dial(evil := self.evil())
        told = str(evil.taken[-1].headers)
        self.assertIn(THERE, told)
        for word in ("proxy-authorization", "Bearer", client.token, client.token.split(".")[1]):
            self.assertNotIn(word, told)

    def test_garbage(self):
        for name, pairs in (
                ("no status", [("date", "x")]), ("status twice", [(":status", "200")] * 2),
                ("status of letters", [(":status", "abc")]), ("status 0", [(":status", "0")]),
                ("long status", [(":status", "2" * 3000)]), ("path", [(":path", "/")]),
                ("line break", [(":status", "200"), ("x", "a\r\nb: c")]),
                ("NUL", [(":status", "200"), ("x", b"a\0b")]),
                ("upper case", [(":status", "200"), ("X-Y", "z")]),
                ("empty name", [(":status", "200"), ("", "z")]),
                ("connection", [(":status", "200"), ("connection", "close")]),
                ("error unheard of", [(":status", "502"), ("adit-error", INJECTION)])):
            with self.subTest(name):
                evil = self.evil()
                client, stream, number = self.dial(evil)
                evil.send_raw(frame(HEADERS, END_HEADERS | END_STREAM, number, fields(*pairs)))
                status, error = client.answer(stream)
                self.assertIn(status, ("502", "503"), error)
                evil.close()
                wait_until(lambda: not self.of("evil"), "the edge to let it go")
        self.assertFalse(set("\r\x1b\x07") & set(self.edge.process.log()))

    def test_headers_without_end(self):
        evil = self.evil()
        client, stream, number = self.dial(evil)
        interim = frame(HEADERS, END_HEADERS, number, fields((":status", "103"), ("x", "y")))
        for _ in range(20):
            evil.send_raw(interim * 5000)
        self.assertIn(client.answer(stream)[0], ("502", "503"))
        evil.wait(lambda: evil.closed, "the edge to close")

    def test_data_without_credit(self):
        """To a reader that takes nothing, so that all credit is used up at some time."""
        evil = self.evil()
        client, stream, number = self.dial(evil, window=65535)
        stream.auto_credit = False
        evil.respond(evil.taken[-1], stock.ACK)
        self.assertEqual(client.answer(stream)[0], "200")
        evil.send_raw(frame(DATA, 0, number, bytes(16384)) * 256)
        evil.wait(lambda: evil.closed or evil.taken[-1].reset is not None, "the edge to end it")
        client.wait(lambda: stream.closed, "the client to hear")
        self.assertNotEqual(stream.reset, 0)

    def test_data_before_the_answer(self):
        evil = self.evil()
        client, stream, number = self.dial(evil)
        evil.send_raw(frame(DATA, 0, number, b"early") * 3)
        self.assertIn(client.answer(stream)[0], ("502", "503"))

    def test_streams_never_answered(self):
        """They end with the client that wants them, not with the agent."""
        evil = self.evil()
        client = self.client()
        streams = [client.connect(f"{THERE}:{port}") for port in range(1, 301)]
        wait_until(lambda: len(evil.taken) == 300, "the dials")
        echo_line(self.held, "still")
        for stream in streams[:150]:
            client.reset(stream)
        evil.wait(lambda: sum(s.reset is not None for s in evil.taken) == 150,
                  "the dials of streams that were reset to end")
        client.close()
        evil.wait(lambda: all(s.reset is not None for s in evil.taken), "the others to end")
        self.assertFalse(evil.closed)

    def test_resets_answer_nothing(self):
        evil = self.evil()
        client, stream, number = self.dial(evil)
        evil.send_raw(frame(RST, 0, number, bytes(4)))
        self.assertIn(client.answer(stream)[0], ("502", "503"))


if __name__ == "__main__":
    main()
