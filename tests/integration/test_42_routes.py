# SPDX-License-Identifier: Apache-2.0
"""What agents advertise, with real agents and a real edge: sets, replicas, holds, owners."""

import os

from support.adit import Agent, Edge, connect, route, routes
from support.case import Case, main
from support.stack import serve
from support.waiting import wait_until


def answering(name):
    """An origin that says who it is to whoever says something."""
    def behaviour(sock):
        sock.recv(1)
        sock.sendall(name)
    return behaviour


class Routes(Case):
    settings = ""

    def setUp(self):
        super().setUp()
        self.edge = Edge(self, settings=self.settings).start()
        self.tunnel = self.edge.create_tunnel("t1", ("10.116.0.0/16",))
        self.client = self.edge.create_client(prefixes=("10.116.0.0/16", "10.117.0.0/16"))
        self.servers = {}

    def via(self, name):
        """Where the server of that name listens."""
        if name not in self.servers:
            self.servers[name] = serve(self, answering(name.encode()))
        return f"127.0.0.1:{self.servers[name].port}"

    def set_of(self, **hosts):
        """Routes of single addresses: _1="b" is 10.116.0.1 by way of the server b."""
        return routes(*(route(f"10.116.0.{host[1:]}/32", via=self.via(name))
                        for host, name in hosts.items()))

    def agent(self, text, name="agent", tunnel=None, accepted=True):
        agent = Agent(self, self.edge.address, self.edge.ca_file, tunnel or self.tunnel, text,
                      name=name).start()
        agent.wait_state("Healthy")
        if accepted:
            agent.wait_accepted()
        else:
            self.wait_verdicts(agent)
        return agent

    def wait_verdicts(self, agent):
        wait_until(lambda: all(r["state"] in ("accepted", "refused") for r in agent.routes()),
                   "the verdicts", show=lambda: str(agent.routes()))

    def rows(self):
        return {r["network"]: r for r in self.edge.json("route", "list")["routes"]}

    def wait_networks(self, *networks):
        wait_until(lambda: sorted(self.rows()) == sorted(networks), f"the routes {networks}",
                   show=lambda: str(self.rows()))

    def wait_row(self, network, **members):
        wait_until(lambda: members.items() <= self.rows().get(network, {}).items(),
                   f"{network} to be {members}", show=lambda: str(self.rows()))

    def who(self, host, address=None):
        """Which server a stream to 10.116.0.HOST reaches, or the error."""
        done = connect(address or f"10.116.0.{host}", 22, self.client, b"?")
        return done.stdout.decode() or done.stderr.decode()


class Sets(Routes):
    def test_reload_sends_the_new_set(self):
        agent = self.agent(self.set_of(_1="a", _2="a"))
        self.assertEqual([self.who(1), self.who(2)], ["a", "a"])
        agent.configure(self.set_of(_2="b", _3="b"))
        self.assertEqual(agent.reload().returncode, 0)
        self.wait_networks("10.116.0.2/32", "10.116.0.3/32")
        agent.wait_accepted()
        self.assertEqual([self.who(2), self.who(3)], ["b", "b"])
        self.assertIn("no route covers", self.who(1))

    def test_many_reloads_at_once(self):
        """They queue, each is answered, and the last word is the file's."""
        many = [f"10.116.{i // 32}.{i % 32 * 8}/29" for i in range(3000)]
        agent = self.agent(self.set_of(_1="a"))
        results = []
        for turn in range(3):
            # By rename: another reload may be reading the old one.
            os.replace(self.write("next.yml", agent.head +
                                  routes(*(route(n) for n in many[turn:]))), agent.config)
            for _ in range(3):
                self.thread(lambda: results.append(agent.reload()))
            agent.hang_up()
        wait_until(lambda: len(results) == 9, "nine answers", show=lambda: str(results))
        self.assertEqual([r.returncode for r in results], [0] * 9, str(results))
        wait_until(lambda: sorted(self.rows()) == sorted(many[2:]), "the last set")
        agent.configure("routes: nonsense\n")
        done = agent.reload()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("routes: must be a list", done.stderr)
        self.assertEqual(len(self.rows()), 2998, "a config with findings changes nothing")

    def test_stop_while_a_reload_runs(self):
        agent = self.agent(self.set_of(_1="a"))
        agent.configure(routes(*(route(f"10.116.{i // 32}.{i % 32 * 8}/29")
                                 for i in range(8000))))
        for _ in range(5):
            agent.hang_up()
        self.assertEqual(agent.terminate(), 0)

    def test_restart_with_fewer_replaces_exactly(self):
        agent = self.agent(self.set_of(_1="a", _2="a", _3="a"))
        self.assertEqual(agent.terminate(), 0)
        self.wait_row("10.116.0.3/32", state="held")
        agent.configure(self.set_of(_3="b"))
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.assertEqual(list(self.rows()), ["10.116.0.3/32"])
        self.assertEqual(self.who(3), "b")
        self.assertIn("no route covers", self.who(1))

    def test_restart_with_none_replaces_exactly(self):
        agent = self.agent(self.set_of(_1="a"))
        self.assertEqual(agent.process.kill(), -9)
        self.wait_row("10.116.0.1/32", state="held")
        agent.configure()
        agent.start().wait_state("Healthy")
        self.wait_networks()

    def test_replicas_get_only_their_streams(self):
        """Both serve .1; .2 is the first's alone, .3 the second's."""
        self.agent(self.set_of(_1="a", _2="a"), "first")
        self.agent(self.set_of(_1="b", _3="b"), "second")
        self.assertEqual({n: r["connectors"] for n, r in self.rows().items()},
                         {"10.116.0.1/32": 2, "10.116.0.2/32": 1, "10.116.0.3/32": 1})
        for _ in range(5):
            self.assertEqual([self.who(2), self.who(3)], ["a", "b"])
        way = self.edge.json("route", "get", "10.116.0.3")
        (served_by,) = way["advertised_by"]
        self.assertEqual({c["connector"] for c in way["candidates"]}, {served_by["connector"]})
        self.assertEqual(len(way["candidates"]), 4)
        self.assertEqual(len(self.edge.json("route", "get", "10.116.0.1")["candidates"]), 8)

    def test_two_processes_of_one_instance(self):
        """A copied state directory: each keeps its own set while it lives."""
        first = self.agent(self.set_of(_1="a"), "first")
        with open(f"{first.folder}/state.json", encoding="utf-8") as f:
            state = f.read()
        second = Agent(self, self.edge.address, self.edge.ca_file, self.tunnel,
                       self.set_of(_2="b"), name="second")
        self.write("second/state.json", state)
        second.start().wait_state("Healthy")
        second.wait_accepted()
        self.assertEqual([self.who(1), self.who(2)], ["a", "b"])
        self.assertEqual({r["state"] for r in self.rows().values()}, {"up"})
        first.configure(self.set_of(_3="a"))
        self.assertEqual(first.reload().returncode, 0)
        self.wait_networks("10.116.0.2/32", "10.116.0.3/32")
        self.assertEqual([self.who(3), self.who(2)], ["a", "b"])


class Holds(Routes):
    def test_held_and_shown_so(self):
        agent = self.agent(self.set_of(_1="a"))
        self.assertEqual((self.rows()["10.116.0.1/32"]["state"],
                          self.rows()["10.116.0.1/32"]["held_until"]), ("up", None))
        self.assertEqual(agent.terminate(), 0)
        self.wait_row("10.116.0.1/32", state="held", connectors=0)
        until = self.rows()["10.116.0.1/32"]["held_until"]
        self.assertRegex(until, r"^\d{4}-\d\d-\d\dT")
        self.assertRegex(self.edge.admin("route", "list"), f"10.116.0.1/32 .* held +{until} ")
        (entry,) = self.edge.json("tunnel", "info", "t1")["advertised"]
        self.assertEqual((entry["state"], entry["held_until"]), ("held", until))
        info = self.edge.admin("tunnel", "info", "t1")
        self.assertIn("HELD UNTIL", info)
        self.assertRegex(info, f"10.116.0.1/32 .* held +{until} ")
        self.assertIn("is not connected", self.who(1))
        way = self.edge.json("route", "get", "10.116.0.1")
        (gone,) = way["advertised_by"]
        self.assertEqual((gone["state"], gone["held_until"], way["choice"]),
                         ("held", until, "no connection takes streams"))
        # Nobody else gets it meanwhile.
        other = self.agent(self.set_of(_1="b"), "other",
                           self.edge.create_tunnel("t2", ("10.116.0.0/16",)), accepted=False)
        self.assertEqual([r.get("reason") for r in other.routes()], ["owned by tunnel t1"])
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.wait_row("10.116.0.1/32", state="up", held_until=None)
        self.assertEqual(self.who(1), "a")

    def test_edge_restart_keeps_the_table(self):
        agent = self.agent(self.set_of(_1="a", _2="a"))
        self.edge.admin("route", "add", "10.117.0.0/16", "t1")
        self.edge.kill()
        agent.terminate()
        self.edge.start()
        rows = self.rows()
        self.assertEqual({n: r["state"] for n, r in rows.items()},
                         {"10.116.0.1/32": "held", "10.116.0.2/32": "held",
                          "10.117.0.0/16": "connector down"})
        self.assertIsNotNone(rows["10.116.0.1/32"]["held_until"])
        self.edge.kill()
        self.edge.start()
        self.assertEqual(self.rows(), rows, "the time goes on, it doesn't start again")
        self.assertIn("is not connected", self.who(1))
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.assertEqual({r["state"] for r in self.rows().values()}, {"up"})
        self.assertEqual(self.who(1), "a")


class Expiry(Routes):
    settings = "route-hold: 1s\n"

    def test_a_hold_ends(self):
        agent = self.agent(self.set_of(_1="a"))
        self.edge.admin("route", "add", "10.116.7.0/24", "t1")
        self.assertEqual(agent.terminate(), 0)
        self.wait_networks("10.116.7.0/24")
        self.assertEqual(self.rows()["10.116.7.0/24"]["state"], "connector down")
        self.assertIn("no route covers", self.who(1))
        agent.start().wait_state("Healthy")
        agent.wait_accepted()
        self.assertEqual(self.who(1), "a")


class Owners(Routes):
    def reasons(self, agent):
        self.wait_verdicts(agent)
        return {r["network"]: r.get("reason", "") for r in agent.routes()}

    def test_refusals_name_the_owner_and_the_remedy(self):
        self.agent(routes(route("10.116.0.0/24"), route("10.116.9.0/24")))
        tunnel = self.edge.create_tunnel("t2", ("10.116.0.0/16",))
        second = self.agent(routes(route("10.116.0.0/24"), route("10.116.0.7/32"),
                                   route("10.116.8.0/22"), route("10.116.4.0/24"),
                                   route("10.118.0.0/16")), "second", tunnel, accepted=False)
        self.assertEqual(self.reasons(second), {
            "10.116.0.0/24": "owned by tunnel t1",
            "10.116.0.7/32": "inside tunnel t1's 10.116.0.0/24: adit-edge grant add t2 "
                             "10.116.0.7/32 --override",
            "10.116.8.0/22": "around tunnel t1's 10.116.9.0/24: adit-edge grant add t2 "
                             "10.116.8.0/22",
            "10.116.4.0/24": "",
            "10.118.0.0/16": "not granted: adit-edge grant add t2 10.118.0.0/16"})
        info = self.edge.admin("tunnel", "info", "t2")
        self.assertIn("owned by tunnel t1", info)

    def test_a_reload_asks_the_edge_again(self):
        """What the operator changed meanwhile is in `adit routes` after it."""
        agent = self.agent(routes(route("10.118.0.0/16")), accepted=False)
        self.edge.admin("grant", "add", "t1", "10.118.0.0/16")
        self.assertIn("10.118.0.0/16", self.rows())
        done = agent.reload()
        self.assertEqual(done.returncode, 0, done.stderr)
        agent.wait_accepted()
        self.edge.admin("grant", "delete", "t1", "10.118.0.0/16")
        self.assertEqual(agent.reload().returncode, 0)
        wait_until(lambda: agent.routes()[0]["state"] == "refused", "the new verdict",
                   show=lambda: str(agent.routes()))

    def test_the_remedies_help_and_can_be_taken_back(self):
        self.agent(routes(route("10.116.0.0/24", via=None)), "first")
        tunnel = self.edge.create_tunnel("t2", ("10.116.0.0/16",))
        self.agent(self.set_of(_7="b"), "second", tunnel, accepted=False)
        self.assertEqual(self.rows()["10.116.0.0/24"]["tunnel"], "t1")
        self.edge.admin("grant", "add", "t2", "10.116.0.7/32", "--override")
        self.assertEqual(self.who(7), "b")
        way = self.edge.json("route", "get", "10.116.0.7")
        self.assertEqual((way["tunnel"], [r["network"] for r in way["others"]]),
                         ("t2", ["10.116.0.0/24"]))
        self.edge.admin("grant", "delete", "t2", "10.116.0.7/32")
        self.assertEqual(list(self.rows()), ["10.116.0.0/24"])
        self.assertEqual(self.edge.json("route", "get", "10.116.0.7")["tunnel"], "t1")


if __name__ == "__main__":
    main()
