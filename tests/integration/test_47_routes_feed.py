# SPDX-License-Identifier: Apache-2.0
"""GET /adit/v1/routes on a running edge, read by an independent HTTP/2: the snapshot, what changes,
what is left out, and who is refused."""

import json

from peers.client import load_token
from support import origin
from support.adit import route, routes
from support.case import Case, main
from support.stack import HOST, Stack, serve
from support.waiting import wait_until

PATH = "/adit/v1/routes"


class Feed:
    """Follows a feed: `routes` is the set at the last commit."""

    def __init__(self, client, stream):
        self.client, self.stream = client, stream
        self.routes, self.pending, self.ops = {}, {}, []
        self.n_commits = 0
        self._at = 0

    def read(self):
        data = bytes(self.stream.data)
        end = data.rfind(b"\n") + 1
        for line in data[self._at:end].splitlines():
            self.apply(json.loads(line))
        self._at = end

    def apply(self, line):
        self.ops.append(line["op"])
        key = (line.get("virtual_network"), line.get("network"))
        if line["op"] == "reset":
            self.pending = {}
        elif line["op"] == "add":
            self.pending[key] = line["up"]
        elif line["op"] == "delete":
            del self.pending[key]
        else:
            self.routes = dict(self.pending)
            self.n_commits += 1

    def wait(self, condition, what):
        def check():
            self.read()
            return condition()
        try:
            self.client.wait(check, what)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.routes} {self.ops}") from e

    def wait_for(self, *expected, network="default"):
        """@expected: prefixes that are up, or "PREFIX down"."""
        wanted = {(network, e.split()[0]): not e.endswith(" down") for e in expected}
        self.wait(lambda: self.n_commits > 0 and self.routes == wanted, f"the routes {wanted}")


class FeedCase(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.log = self.path("access.log")
        self.stack = Stack(self, self.server.port, edge_settings=f"access-log: {self.log}\n")
        self.edge, self.agent = self.stack.edge, self.stack.agent
        self.client = self.stack.scripted_client()

    def ask(self, client=None, method="GET", network=None, token=None, **options):
        client = client or self.client
        headers = [(":method", method), (":scheme", "https"), (":authority", "edge"),
                   (":path", PATH), ("proxy-authorization", f"Bearer {token or client.token}")]
        if network is not None:
            headers.append(("adit-virtual-network", network))
        return client.open(headers, end=True, **options)

    def follow(self, client=None, **options):
        client = client or self.client
        stream = self.ask(client, **options)
        self.assertEqual(client.answer(stream), ("200", None))
        self.assertEqual(stream.headers["content-type"], "application/jsonl")
        return Feed(client, stream)

    def assertAnswer(self, stream, *answer, client=None):
        client = client or self.client
        self.assertEqual(client.answer(stream), answer)
        client.wait(lambda: stream.closed, "the end of the refused stream")

    def admin(self, *argv):
        return self.edge.admin(*argv)


class Contents(FeedCase):
    def test_snapshot_and_changes(self):
        feed = self.follow()
        feed.wait_for(f"{HOST}/32")
        self.assertEqual(feed.ops, ["reset", "add", "commit"])
        # Routes come and go, of the agent and by hand.
        self.agent.configure(routes(route(f"{HOST}/32", via=f"127.0.0.1:{self.server.port}"),
                                    route("10.116.1.0/24")))
        self.assertEqual(self.agent.reload().returncode, 0)
        feed.wait_for(f"{HOST}/32", "10.116.1.0/24")
        self.assertEqual(feed.ops[3:], ["add", "commit"])
        self.admin("route", "add", "10.116.2.0/24", "t1")
        feed.wait_for(f"{HOST}/32", "10.116.1.0/24", "10.116.2.0/24")
        self.admin("route", "delete", "10.116.2.0/24")
        feed.wait_for(f"{HOST}/32", "10.116.1.0/24")
        self.assertEqual(feed.ops[-2:], ["delete", "commit"])
        # What nobody may see of it changes nothing.
        n = len(feed.ops)
        self.admin("route", "add", "10.200.0.0/24", "t1")
        self.admin("policy", "add", "p", "block", "--prefix", f"{HOST}/32")
        feed.wait_for("10.116.1.0/24")
        self.assertEqual(feed.ops[n:], ["delete", "commit"])
        # Nor does an agent that goes end routes: they are held.
        self.assertEqual(self.agent.terminate(), 0)
        feed.wait_for("10.116.1.0/24 down")
        self.agent.start().wait_state("Healthy")
        feed.wait_for("10.116.1.0/24")

    def test_grants(self):
        bob = self.edge.create_client("bob", prefixes=())
        feed = self.follow(token=load_token(bob))
        feed.wait_for()
        self.assertEqual(feed.ops, ["reset", "commit"])
        self.admin("route", "add", "10.116.0.0/16", "t1")
        self.admin("client", "grant", "add", "bob", "10.116.4.0/24")
        feed.wait_for("10.116.4.0/24")
        self.admin("client", "grant", "add", "bob", "10.0.0.0/8", "--ports", "22")
        feed.wait_for("10.116.0.0/16", "10.116.4.0/24", f"{HOST}/32")
        self.admin("client", "grant", "delete", "bob", "10.116.4.0/24")
        feed.wait_for("10.116.0.0/16", f"{HOST}/32")
        self.admin("policy", "add", "no-ssh", "block", "--ports", "22")
        feed.wait_for()
        self.admin("policy", "move", "no-ssh", "1")
        self.admin("policy", "add", "all", "allow", "--position", "1")
        feed.wait_for("10.116.0.0/16", f"{HOST}/32")
        self.admin("policy", "delete", "all")
        self.admin("policy", "add-catch-all")
        feed.wait_for()
        self.admin("policy", "add", "one", "allow", "--prefix", "10.116.9.9/32", "--position",
                   "1")
        feed.wait_for("10.116.9.9/32")
        self.admin("client", "grant", "delete", "bob", "10.0.0.0/8")
        feed.wait_for()

    def test_another_name(self):
        self.admin("vnet", "add", "lab")
        feed, lab = self.follow(), self.follow(self.stack.scripted_client(), network="lab")
        feed.wait_for(f"{HOST}/32")
        lab.wait_for(network="lab")
        self.admin("vnet", "update", "default", "--name", "prod")
        feed.wait_for(f"{HOST}/32", network="prod")
        self.assertEqual(feed.ops[3:], ["reset", "add", "commit"])

    def test_networks(self):
        self.admin("vnet", "add", "lab")
        self.admin("route", "add", "10.116.0.0/24", "t1", "--virtual-network", "lab")
        self.admin("client", "grant", "add", "alice", "10.116.0.0/16", "--virtual-network", "lab")
        everything = self.follow()
        everything.wait(lambda: everything.routes == {
            ("default", f"{HOST}/32"): True, ("lab", "10.116.0.0/24"): True}, "both networks")
        other = self.stack.scripted_client()
        lab = self.follow(other, network="lab")
        lab.wait_for("10.116.0.0/24", network="lab")
        self.admin("route", "delete", "10.116.0.0/24", "--virtual-network", "lab")
        lab.wait_for(network="lab")
        everything.wait_for(f"{HOST}/32")
        self.admin("client", "grant", "delete", "alice", "10.116.0.0/16", "--virtual-network",
                   "lab")
        self.admin("vnet", "delete", "lab")
        self.admin("route", "add", "10.116.5.0/24", "t1")
        everything.wait_for(f"{HOST}/32", "10.116.5.0/24")


class Requests(FeedCase):
    def test_refusals(self):
        for method in ("POST", "HEAD", "PUT", "DELETE"):
            stream = self.ask(method=method)
            self.assertAnswer(stream, "405", "unsupported")
            self.assertEqual(stream.headers["allow"], "GET")
        self.assertAnswer(self.ask(token="adit_x.y"), "407", "unauthenticated")
        self.assertAnswer(self.ask(network="nope"), "404", "no-network")
        carol = load_token(self.edge.create_client("carol", prefixes=()))
        for network in ("nope", "default"):
            self.assertAnswer(self.ask(network=network, token=carol), "403", "not-granted")
        feed = self.follow()
        self.assertAnswer(self.ask(), "503", "limit")
        # The place is free when the first one has ended, and streams go on beside it.
        stream = self.client.connect(f"{HOST}:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.client.reset(feed.stream)
        self.follow().wait_for(f"{HOST}/32")

    def test_revoked(self):
        bob_path = self.edge.create_client("bob")
        bob = load_token(bob_path)
        feed = self.follow(token=bob)
        feed.wait_for(f"{HOST}/32")
        # The link is alice's by now; the feed isn't.
        stream = self.client.connect(f"{HOST}:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.admin("client", "revoke", "bob")
        self.client.wait(lambda: feed.stream.closed, "the feed's end")
        self.assertFalse(stream.closed or self.client.closed)

        def line():
            with open(self.log, encoding="utf-8") as f:
                return [r for r in map(json.loads, f) if r["target"] == "routes"]
        (last,) = wait_until(line, "the line of the feed")
        self.assertEqual((last["event"], last["client"], last["protocol"], last["result"]),
                         ("ended", "bob", "http", "token revoked"))
        self.assertEqual(last["bytes_down"], feed.stream.n_received)

    def test_a_reader_that_waits(self):
        """It gets what holds when it reads on, not all that was in between."""
        slow = self.stack.scripted_client(window=16)
        with slow.lock:
            stream = self.ask(slow)
            stream.auto_credit = False
        feed = Feed(slow, stream)
        slow.wait(lambda: stream.held == 16, "a full window")
        for i in range(20):
            self.admin("route", "add", f"10.116.{100 + i}.0/24", "t1")
            if i < 19:
                self.admin("route", "delete", f"10.116.{100 + i}.0/24")
        other = self.follow()
        other.wait_for(f"{HOST}/32", "10.116.119.0/24")
        self.assertEqual(stream.held, 16)
        with slow.lock:
            stream.auto_credit = True
        slow.credit(stream, 1 << 20)
        feed.wait_for(f"{HOST}/32", "10.116.119.0/24")
        self.assertEqual(feed.ops, ["reset", "add", "commit", "add", "commit"])

    def test_a_network_that_goes_while_nobody_reads(self):
        """Its name is gone, too: the reader starts anew."""
        slow = self.stack.scripted_client(window=1000)
        self.admin("vnet", "add", "lab")
        self.admin("route", "add", "10.116.0.0/24", "t1", "--virtual-network", "lab")
        self.admin("client", "grant", "add", "alice", "10.116.0.0/16", "--virtual-network", "lab")
        feed = self.follow(slow)
        feed.wait(lambda: ("lab", "10.116.0.0/24") in feed.routes, "the network's route")
        with slow.lock:
            feed.stream.auto_credit = False
        for i in range(20):
            self.admin("route", "add", f"10.116.{100 + i}.0/24", "t1")
        slow.wait(lambda: feed.stream.held > 900, "a full window")
        self.admin("route", "delete", "10.116.0.0/24", "--virtual-network", "lab")
        self.admin("client", "grant", "delete", "alice", "10.116.0.0/16", "--virtual-network",
                   "lab")
        self.admin("vnet", "delete", "lab")
        with slow.lock:
            feed.stream.auto_credit = True
        slow.credit(feed.stream, 1 << 20)
        feed.wait_for(f"{HOST}/32", *(f"10.116.{100 + i}.0/24" for i in range(20)))
        self.assertEqual(feed.ops.count("reset"), 2)

    def test_the_edge_stops(self):
        feed = self.follow()
        feed.wait_for(f"{HOST}/32")
        self.assertEqual(self.edge.process.terminate(), 0)
        self.client.wait(lambda: self.client.closed, "the end of the link")


if __name__ == "__main__":
    main()
