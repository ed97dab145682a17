# SPDX-License-Identifier: Apache-2.0
"""Guessing tokens and secrets: so many failures per address, then nothing is looked at; who is
known already, and every other address, notices nothing."""

import os

from peers import agent as stock
from peers.client import Client, load_token
from support import origin
from support.case import Case, main
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

BURST = 4
TOLD = "too many tokens that are not valid"
TOLD_AGENTS = "too many secrets that are not valid"


class GuessingCase(Case):
    per_minute = 1

    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port, edge_settings=(
            f"limits:\n  failures-burst: {BURST}\n  failures-per-minute: {self.per_minute}\n"))
        self.edge = self.stack.edge
        self.token = load_token(self.stack.client)
        self.held = self.stack.popen()
        echo_line(self.held, "before")

    def tearDown(self):
        echo_line(self.held, "after")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        super().tearDown()

    def client(self, source=None):
        client = Client(("127.0.0.1", self.edge.port), self.edge.ca_file, self.token,
                        source=source)
        self.addCleanup(client.close)
        return client.start()

    def ask(self, client, token=None):
        return client.answer(client.connect(f"{HOST}:22", token=token))

    def wrong(self, n=0):
        """With the id of a token that there is, so that only its secret is wrong."""
        return f"{self.token.split('.')[0]}.{'A' * 40}{n:03}"

    def agent(self, source=None, **changes):
        registration = stock.load_registration(self.stack.tunnel, 7)
        vars(registration).update(changes)
        agent = stock.Agent(("127.0.0.1", self.edge.port), self.edge.ca_file, registration,
                            source=source, captured=False)
        self.addCleanup(agent.close)
        agent.start().wait_registered()
        return agent

    def lines(self, text):
        return [line for line in self.edge.process.log().splitlines() if text in line]


class Tokens(GuessingCase):
    def guess(self, n=BURST):
        for i in range(n):
            self.assertEqual(self.ask(self.client(), self.wrong(i)), ("407", "unauthenticated"))

    def test_limited_per_address(self):
        known = self.client()
        self.assertEqual(self.ask(known), ("200", None))
        self.guess()
        for _ in range(5):
            self.assertEqual(self.ask(self.client(), self.wrong()), ("503", "limit"))
        # A right guess can't be told from a wrong one,
        self.assertEqual(self.ask(self.client()), ("503", "limit"))
        # but others can: by address, and by what their link has shown before.
        self.assertEqual(self.ask(self.client("127.0.0.2")), ("200", None))
        self.assertEqual(self.ask(known), ("200", None))
        self.assertEqual(len(self.lines(TOLD)), 1)
        self.assertNotIn("A" * 40, self.edge.process.log())
        self.assertNotIn(self.token.split(".")[1], self.edge.process.log())
        # Agents have a count of their own.
        self.assertIsNotNone(self.agent().details)

    def test_one_link_ends(self):
        guesser = self.client()
        for i in range(16):
            if not self.ask(guesser, self.wrong(i))[0]:
                break
        guesser.wait(lambda: guesser.closed, "the edge to close")

    def test_no_token_is_no_guess(self):
        for _ in range(2 * BURST):
            self.assertEqual(self.ask(self.client(), ""), ("407", "unauthenticated"))
        self.assertEqual(self.ask(self.client()), ("200", None))

    def test_the_routes_feed_is_limited_too(self):
        self.guess()
        client = self.client()
        feed = client.get("/adit/v1/routes")
        self.assertEqual(client.answer(feed), ("503", "limit"))

    def test_a_reload_with_more_room_lets_in(self):
        self.guess()
        self.assertEqual(self.ask(self.client()), ("503", "limit"))
        with open(self.edge.config, encoding="utf-8") as f:
            text = f.read().replace("failures-burst: 4", "failures-burst: 40")
        with open(self.edge.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.edge.admin("reload")
        self.assertEqual(self.ask(self.client()), ("200", None))


class Forgiven(GuessingCase):
    per_minute = 60

    def test_after_a_while(self):
        wait_until(lambda: self.ask(self.client(), self.wrong()) == ("503", "limit"),
                   "the edge to have enough")
        wait_until(lambda: self.ask(self.client()) == ("200", None), "the edge to forgive")


class Secrets(GuessingCase):
    def test_limited_per_address(self):
        for _ in range(BURST):
            self.assertIn("Unauthorized", self.agent(secret=os.urandom(32)).refused[0])
        for changes in ({"secret": os.urandom(32)}, {"tunnel_id": os.urandom(16)}, {}):
            cause, should_retry, wait_ns = self.agent(**changes).refused
            self.assertIn(TOLD_AGENTS, cause)
            self.assertTrue(should_retry)
            self.assertGreater(wait_ns, 0)
            self.assertLessEqual(wait_ns, 60 * 10**9)
        self.assertIsNotNone(self.agent("127.0.0.2").details)
        self.assertEqual(len(self.lines("registration refused")), BURST + 1)
        # Users have a count of their own.
        self.assertEqual(self.ask(self.client()), ("200", None))


if __name__ == "__main__":
    main()
