# SPDX-License-Identifier: Apache-2.0
"""Routes, virtual networks and grants through the commands of adit-edge."""

import json
import socket

from peers import agent as stock
from support.adit import Edge, binary, run
from support.case import Case, main

USAGE = 64


class Operator(Case):
    def setUp(self):
        super().setUp()
        self.edge = Edge(self).start()
        for name in ("t1", "t2"):
            self.edge.create_tunnel(name, ())

    def check(self, *argv):
        return self.edge.admin(*argv)

    def refused(self, reason, *argv, code=1):
        done = self.edge.try_admin(*argv)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(reason, done.stderr)

    def rows(self, *argv):
        (rows,) = self.edge.json(*argv).values()
        return rows

    def networks(self, *argv):
        return [r["network"] for r in self.rows("route", "list", *argv)]

    def ask(self, **request):
        """One request on the control socket, as other programs may send it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.edge.socket)
            s.sendall(json.dumps({"v": 1, **request}).encode() + b"\n")
            return json.loads(s.makefile("rb").readline())

    def agent(self, tunnel="t1", index=0, client_id=None):
        agent = stock.Agent(
            ("127.0.0.1", self.edge.port), self.edge.ca_file,
            stock.load_registration(self.path(f"{tunnel}.json"), index, client_id))
        self.addCleanup(agent.close)
        self.assertIsNotNone(agent.start().wait_registered(), agent.refused)
        return agent


class Help(Operator):
    def test_every_command_has_one(self):
        for family, verbs in (("route", ("add", "delete", "get", "list")),
                              ("vnet", ("add", "delete", "list", "update")),
                              ("grant", ("add", "delete", "list"))):
            text = self.check_help(family)
            for verb in verbs:
                self.assertIn(verb, text)
                self.assertIn(f"adit-edge {family} {verb}", self.check_help(family, verb))

    def check_help(self, *argv):
        done = run([binary("adit-edge"), *argv, "--help"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_usage_errors(self):
        for argv in (("route", "add", "10.0.0.0/8"), ("route", "get"), ("vnet", "update"),
                     ("route", "list", "--subset", "10.0.0.0/8"), ("vnet", "delete"),
                     ("route", "move"), ("vnet", "list", "lab")):
            self.refused("", *argv, code=USAGE)


class Routes(Operator):
    def test_add_and_delete(self):
        self.check("route", "add", "10.0.0.0/8", "t1", "all of it")
        self.check("route", "add", "10.1.0.0/16", "t2", "--comment", "a part")
        self.check("route", "add", "2001:db8::/32", "t1")
        rows = self.rows("route", "list")
        self.assertEqual([(r["network"], r["tunnel"], r["comment"], r["state"]) for r in rows],
                         [("10.0.0.0/8", "t1", "all of it", "connector down"),
                          ("10.1.0.0/16", "t2", "a part", "connector down"),
                          ("2001:db8::/32", "t1", "", "connector down")])
        self.check("route", "add", "10.0.0.0/8", "t1", "renamed")
        self.assertEqual(self.rows("route", "list", "--superset-of", "10.200.0.1")[0]["comment"],
                         "renamed")
        self.refused("owned by tunnel t1", "route", "add", "10.0.0.0/8", "t2")
        self.refused("10.0.0.0/8 is meant", "route", "add", "10.9.0.0/8", "t1")
        self.refused("is not a prefix", "route", "add", "office", "t1")
        self.refused("loopback", "route", "add", "127.0.0.0/8", "t1")
        self.refused("no tunnel t3: did you mean t", "route", "add", "10.0.0.0/24", "t3")
        self.refused("comment has more than", "route", "add", "10.0.0.0/24", "t1", "x" * 200)
        self.check("route", "delete", "10.0.0.0/8")
        self.refused("no route 10.0.0.0/8 in default", "route", "delete", "10.0.0.0/8")
        self.assertEqual(self.networks(), ["10.1.0.0/16", "2001:db8::/32"])

    def test_filters(self):
        self.check("vnet", "add", "lab")
        for network, tunnel, comment in (("10.0.0.0/8", "t1", "x"), ("10.1.0.0/16", "t2", "x"),
                                         ("10.1.2.0/24", "t1", "y"), ("10.2.0.0/16", "t1", "")):
            self.check("route", "add", network, tunnel, "--comment", comment or "-")
        self.check("route", "add", "10.1.0.0/16", "t2", "--virtual-network", "lab")
        for argv, expected in (
                ((), 5),
                (("t1",), ["10.0.0.0/8", "10.1.2.0/24", "10.2.0.0/16"]),
                (("--tunnel", "t2"), ["10.1.0.0/16", "10.1.0.0/16"]),
                (("--virtual-network", "lab"), ["10.1.0.0/16"]),
                (("--virtual-network", "default", "t2"), ["10.1.0.0/16"]),
                (("--subset-of", "10.1.0.0/16", "--virtual-network", "default"),
                 ["10.1.0.0/16", "10.1.2.0/24"]),
                (("--superset-of", "10.1.0.0/16", "--virtual-network", "default"),
                 ["10.0.0.0/8", "10.1.0.0/16"]),
                (("--superset-of", "10.1.2.3", "t1"), ["10.0.0.0/8", "10.1.2.0/24"]),
                (("--superset-of", "10.1.0.0/16", "--subset-of", "10.1.0.0/16", "--comment", "x"),
                 ["10.1.0.0/16"]),
                (("--comment", "y"), ["10.1.2.0/24"]),
                (("--comment", "none"), []),
                (("--subset-of", "2001:db8::/32"), [])):
            got = self.networks(*argv)
            self.assertEqual(got if isinstance(expected, list) else len(got), expected, argv)
        self.refused("10.1.0.0/16 is meant", "route", "list", "--subset-of", "10.1.2.3/16")
        self.refused("no tunnel t9", "route", "list", "t9")
        self.refused("no virtual network lap: did you mean lab?", "route", "list",
                     "--virtual-network", "lap")
        table = self.check("route", "list").splitlines()
        self.assertRegex(table[0], "^NETWORK +VIRTUAL NETWORK +TUNNEL +STATE +HELD UNTIL ")
        self.assertEqual(len(table), 6)


class Get(Operator):
    def get(self, *argv):
        return self.edge.json("route", "get", *argv)

    def add(self, *routes):
        for network, tunnel in routes:
            self.check("route", "add", network, tunnel)

    def test_longest_match_and_what_lost(self):
        self.add(("10.0.0.0/8", "t1"), ("10.0.0.0/16", "t2"), ("10.0.0.0/24", "t1"),
                 ("10.0.0.128/25", "t2"), ("10.5.0.0/16", "t2"))
        way = self.get("10.0.0.5")
        self.assertEqual((way["address"], way["network"], way["tunnel"], way["origin"]),
                         ("10.0.0.5", "10.0.0.0/24", "t1", "operator"))
        self.assertEqual(way["reason"], "longest match 10.0.0.0/24 of 3 routes that cover it")
        self.assertEqual([(r["network"], r["tunnel"], r["relation"]) for r in way["others"]],
                         [("10.0.0.0/8", "t1", "wider"), ("10.0.0.0/16", "t2", "wider"),
                          ("10.0.0.128/25", "t2", "narrower")])
        self.assertEqual(way["narrower"], 1)
        way = self.get("::ffff:10.5.1.1")
        self.assertEqual((way["address"], way["network"]), ("10.5.1.1", "10.5.0.0/16"))
        self.check("route", "delete", "10.0.0.0/8")
        self.assertEqual(self.get("10.5.1.1")["reason"],
                         "10.5.0.0/16 is the only route that covers it")
        text = self.check("route", "get", "10.0.0.5")
        self.assertIn("10.0.0.5 goes to tunnel t1: longest match 10.0.0.0/24 of 2", text)
        self.assertIn("routes that lost", text)
        self.assertIn("next stream: no connection takes streams", text)

    def test_narrower_ones_are_counted(self):
        self.add(("10.0.0.0/8", "t1"), *((f"10.0.{i}.0/24", "t1") for i in range(20)))
        way = self.get("10.200.0.1")
        self.assertEqual((len(way["others"]), way["narrower"]), (16, 20))
        self.assertIn("20 narrower inside it in all", self.check("route", "get", "10.200.0.1"))

    def test_no_route(self):
        self.check("vnet", "add", "lab")
        self.refused("no route to 10.0.0.5 in default", "route", "get", "10.0.0.5")
        self.check("route", "add", "10.0.0.0/24", "t1", "--virtual-network", "lab")
        self.refused("no route to 10.0.0.5 in default; there is one in lab: add "
                     "--virtual-network lab", "route", "get", "10.0.0.5")
        way = self.get("10.0.0.5", "--virtual-network", "lab")
        self.assertEqual((way["virtual_network"], way["tunnel"]), ("lab", "t1"))
        self.check("route", "add", "0.0.0.0/0", "t1")
        self.refused("0.0.0.0/0 doesn't count, that range (loopback) is reached by routes of "
                     "single addresses only", "route", "get", "127.0.0.1")
        self.refused("is not an IP address", "route", "get", "10.0.0.0/24")
        self.refused("address is missing", "route", "get", "")

    def test_the_connection_that_is_next(self):
        self.add(("10.0.0.0/24", "t1"))
        way = self.get("10.0.0.5")
        self.assertEqual((way["state"], way["candidates"], way["choice"]),
                         ("connector down", [], "no connection takes streams"))
        process = stock.new_client_id()
        first = self.agent(index=0, client_id=process)
        way = self.get("10.0.0.5")
        (only,) = way["candidates"]
        self.assertEqual((way["state"], way["connectors"], way["choice"]),
                         ("up", 1, "the only connection that takes streams"))
        self.assertEqual((only["index"], only["kind"], only["state"], only["suspect"],
                          only["streams"], only["chosen"]),
                         (0, "stock", "registered", False, 0, True))
        self.agent(index=1, client_id=process)
        self.agent("t2")
        way = self.get("10.0.0.5")
        self.assertEqual([c["chosen"] for c in way["candidates"]], [True, False])
        self.assertEqual(way["choice"],
                         "fewest streams among those not suspect, the oldest of several")
        self.assertEqual({c["id"] for c in way["candidates"]},
                         {c["id"] for c in self.edge.agents() if c["tunnel"] == "t1"})
        self.assertEqual(way["advertised_by"], [], "the operator's route is anybody's")
        text = self.check("route", "get", "10.0.0.5")
        self.assertRegex(text, f"{only['id']} .* registered +no +0 +yes")
        self.assertFalse(first.refused)


class Networks(Operator):
    def vnets(self, *argv):
        return {v["name"]: v for v in self.rows("vnet", "list", *argv)}

    def test_filters(self):
        self.check("vnet", "add", "lab", "the lab")
        self.check("vnet", "add", "office", "--default", "--comment", "the office")
        vnets = self.vnets()
        self.assertEqual({n: (v["default"], v["comment"]) for n, v in vnets.items()},
                         {"default": (False, ""), "lab": (False, "the lab"),
                          "office": (True, "the office")})
        self.assertEqual(list(self.vnets("--name", "lab")), ["lab"])
        self.assertEqual(list(self.vnets("--id", vnets["lab"]["id"])), ["lab"])
        self.assertEqual(list(self.vnets("--is-default")), ["office"])
        self.assertEqual(self.vnets("--is-default", "--name", "lab"), {})
        self.refused("not an id of a network", "vnet", "list", "--id", "lab")
        answer = self.ask(command="vnet.list", args={"is_default": False})
        self.assertEqual([v["name"] for v in answer["result"]["virtual_networks"]],
                         ["default", "lab"])
        answer = self.ask(command="vnet.list", args={"is_default": "yes"})
        self.assertEqual(answer["error"]["code"], "invalid")

    def test_update(self):
        self.check("vnet", "add", "lab")
        self.check("route", "add", "10.0.0.0/8", "t1", "--virtual-network", "lab")
        self.check("grant", "add", "t1", "--network-name", "lab")
        before = self.vnets()["lab"]
        self.check("vnet", "update", "lab", "--name", "site", "--comment", "moved")
        self.assertEqual(self.vnets()["site"], {**before, "name": "site", "comment": "moved"})
        self.assertNotIn("lab", self.vnets())
        (route,) = self.rows("route", "list")
        self.assertEqual(route["virtual_network"], "site")
        self.assertEqual(self.rows("grant", "list"), [{"tunnel": "t1", "network_name": "site"}])
        self.check("vnet", "update", before["id"], "--default")
        self.assertEqual([n for n, v in self.vnets().items() if v["default"]], ["site"])
        self.refused("there is a virtual network default already", "vnet", "update", "site",
                     "--name", "default")
        self.refused("nothing to change", "vnet", "update", "site")
        self.refused("name \"a b\"", "vnet", "update", "site", "--name", "a b")
        self.refused("no virtual network lab", "vnet", "update", "lab", "--name", "x")
        answer = self.ask(command="vnet.update", args={"virtual_network": "site", "comment": ""})
        self.assertEqual((answer["result"]["comment"], answer["result"]["name"]), ("", "site"))
        self.edge.kill()
        self.edge.start()
        self.assertEqual([(n, v["default"], v["comment"]) for n, v in self.vnets().items()],
                         [("default", False, ""), ("site", True, "")])

    def test_delete(self):
        self.check("vnet", "add", "lab")
        self.edge.create_client("alice", ())
        in_lab = ("--virtual-network", "lab")
        for argv, back, reason in (
                (("route", "add", "10.0.0.0/8", "t1", *in_lab),
                 ("route", "delete", "10.0.0.0/8", *in_lab), "routes of tunnel t1"),
                (("grant", "add", "t2", "10.0.0.0/8", *in_lab),
                 ("grant", "delete", "t2", "10.0.0.0/8", *in_lab), "grants of tunnel t2"),
                (("grant", "add", "t2", "--network-name", "lab"),
                 ("grant", "delete", "t2", "--network-name", "lab"),
                 "a grant by name of tunnel t2"),
                (("client", "grant", "add", "alice", "10.0.0.0/8", *in_lab),
                 ("client", "grant", "delete", "alice", "10.0.0.0/8", *in_lab),
                 "grants of client alice")):
            self.check(*argv)
            self.refused(f"lab still has {reason} ", "vnet", "delete", "lab")
            self.check(*back)
        self.check("vnet", "delete", "lab")
        self.refused("no virtual network lab", "vnet", "delete", "lab")
        self.refused("default is the default", "vnet", "delete", "default")
        self.refused("default is the default", "vnet", "delete", "default", "--force")

    def test_delete_by_force(self):
        self.check("vnet", "add", "lab")
        self.edge.create_client("alice", ("10.9.0.0/16",))
        in_lab = ("--virtual-network", "lab")
        self.check("route", "add", "10.0.0.0/8", "t1")
        for network in ("10.0.0.0/8", "10.1.0.0/16"):
            self.check("route", "add", network, "t1", *in_lab)
        self.check("grant", "add", "t1", "10.0.0.0/8", *in_lab)
        self.check("grant", "add", "t1", "10.0.0.0/8")
        self.check("grant", "add", "t2", "--network-name", "lab")
        self.check("client", "grant", "add", "alice", "10.0.0.0/8", *in_lab)
        self.refused("(routes: 2, grants: 3): --force deletes them", "vnet", "delete", "lab")
        self.assertEqual(self.check("vnet", "delete", "lab", "--force"),
                         "deleted; with it routes: 2, grants: 3\n")

        def left():
            return ([r["network"] for r in self.rows("route", "list")],
                    [(g["tunnel"], g["prefix"]) for g in self.rows("grant", "list")],
                    [g["prefix"] for g in self.rows("client", "grant", "list")],
                    list(self.vnets()))
        expected = (["10.0.0.0/8"], [("t1", "10.0.0.0/8")], ["10.9.0.0/16"], ["default"])
        self.assertEqual(left(), expected)
        self.edge.kill()
        self.edge.start()
        self.assertEqual(left(), expected)


class Grants(Operator):
    def test_verbs(self):
        self.check("vnet", "add", "lab")
        self.check("grant", "add", "t1", "10.0.0.0/8", "--override")
        self.check("grant", "add", "t1", "10.0.0.0/8", "--virtual-network", "lab")
        self.check("grant", "add", "t2", "10.1.0.0/16")
        self.check("grant", "add", "t2", "--network-name", "lab")
        rows = self.rows("grant", "list")
        self.assertEqual(len(rows), 4)
        self.assertEqual(self.rows("grant", "list", "--virtual-network", "lab"),
                         [r for r in rows if r.get("virtual_network", "lab") == "lab"])
        self.assertEqual(self.rows("grant", "list", "t2"),
                         [r for r in rows if r["tunnel"] == "t2"])
        self.check("grant", "add", "t1", "10.0.0.0/8")
        self.assertEqual([r["override"] for r in self.rows("grant", "list", "t1")
                          if r["virtual_network"] == "default"], [False])
        self.refused("network_name and prefix don't go together", "grant", "add", "t1",
                     "10.0.0.0/8", "--network-name", "lab")
        self.refused("network_name and override don't go together", "grant", "add", "t1",
                     "--override", "--network-name", "lab")
        self.refused("prefix is missing", "grant", "add", "t1")
        self.refused("10.0.0.0/8 is meant", "grant", "add", "t1", "10.1.0.0/8")
        self.refused("tunnel t1 has no grant of 10.7.0.0/16 in default", "grant", "delete", "t1",
                     "10.7.0.0/16")
        self.refused("no grant of network name office", "grant", "delete", "t1",
                     "--network-name", "office")
        self.check("grant", "delete", "t1", "10.0.0.0/8")
        self.check("grant", "delete", "t2", "--network-name", "lab")
        self.assertEqual([(r["tunnel"], r["virtual_network"]) for r in self.rows("grant", "list")],
                         [("t1", "lab"), ("t2", "default")])


if __name__ == "__main__":
    main()
