# SPDX-License-Identifier: Apache-2.0
"""Network policies and grants on a running edge: what is refused and by which rule, what is cut
when a rule changes, what the access log says, and databases from before policies."""

import json
import os
import shlex
import sqlite3
import stat

from peers.client import load_token
from peers.datagrams import Flow, echo_path, udp_path
from support import adit, origin
from support.case import Case, main
from support.require import need
from support.sshd import Sshd
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

SCHEMA_1 = os.path.join(os.path.dirname(__file__), "..", "data", "edge-schema-1.sql")


class PolicyCase(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        os.makedirs(self.path("log"))   # a log that is rotated has a folder of its own
        self.log = self.path("log/access.log")
        self.stack = Stack(self, self.server.port, edge_settings=f"access-log: {self.log}\n")
        self.edge = self.stack.edge

    def admin(self, *argv):
        return self.edge.admin(*argv)

    def refused(self, reason, *argv):
        done = self.edge.try_admin(*argv)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(reason, done.stderr)

    def ask(self, *argv):
        """The verdict of `policy test`: (allowed, layer, rule)."""
        answer = self.edge.json("policy", "test", *argv)
        return answer["allowed"], answer["layer"], answer["rule"]

    def lines(self, path=None):
        with open(path or self.log, encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def line(self, **wanted):
        """Waits for the line of the access log that has these members."""
        def find():
            for line in self.lines():
                if wanted.items() <= line.items():
                    return line
            return None
        return wait_until(find, f"a line with {wanted}", show=lambda: str(self.lines()))

    def policies(self):
        return [(p["position"], p["name"]) for p in self.edge.json("policy", "list")["policies"]]


class Decisions(PolicyCase):
    def answer(self, client, authority, **options):
        return client.answer(client.connect(authority, **options))

    def test_layers_and_what_test_says(self):
        client = self.stack.scripted_client()
        self.assertEqual(self.ask("alice", HOST, "22"), (True, "grant", "10.116.0.0/16"))
        self.assertEqual(self.answer(client, f"{HOST}:22"), ("200", None))
        self.admin("policy", "add", "no-ssh", "block", "--prefix", f"{HOST}/32", "--ports", "22")
        self.assertEqual(self.ask("alice", HOST, "22"), (False, "policy", "no-ssh"))
        self.assertEqual(self.answer(client, f"{HOST}:22"), ("403", "not-granted"))
        self.assertEqual(self.answer(client, f"{HOST}:23"), ("200", None))
        self.assertEqual(self.ask("alice", HOST, "22", "--protocol", "udp"),
                         (False, "policy", "no-ssh"))
        self.assertEqual(self.ask("alice", HOST, "--protocol", "icmp"),
                         (True, "grant", "10.116.0.0/16"))
        # An allow gives nothing that no grant gives.
        self.admin("policy", "add", "all", "allow", "--position", "1")
        self.assertEqual(self.ask("alice", HOST, "22"), (True, "grant", "10.116.0.0/16"))
        self.assertEqual(self.ask("alice", "10.117.0.1", "22"), (False, "grant", None))
        self.assertEqual(self.answer(client, "10.117.0.1:22"), ("403", "not-granted"))
        self.assertEqual(self.ask("alice", "10.116.9.9", "22"), (False, "route", None))
        text = self.admin("policy", "test", "alice", "10.117.0.1", "22")
        self.assertIn("refused  no grant of alice covers it", text)
        self.assertIn("layer   grant", text)
        self.admin("client", "revoke", "alice")
        self.assertEqual(self.ask("alice", HOST, "22"), (False, "grant", None))

    def test_whom_policies_speak_of(self):
        self.admin("client", "add", "bob", "--output", self.path("bob.json"), "--edge",
                   self.edge.address, "--email", "bob@Example.com")
        self.admin("client", "grant", "add", "bob", "10.116.0.0/16", "--protocols", "tcp,icmp",
                   "--ports", "22")
        self.admin("policy", "add", "p", "block", "--email", "*@example.com")
        self.assertEqual(self.ask("bob", HOST, "22"), (False, "policy", "p"))
        self.assertEqual(self.ask("alice", HOST, "22")[0], True)
        self.admin("policy", "delete", "p")
        for argv, allowed in ((("22",), True), (("23",), False),
                              (("--protocol", "icmp"), True),
                              (("22", "--protocol", "udp"), False)):
            self.assertEqual(self.ask("bob", HOST, *argv)[0], allowed, argv)
        (grant,) = self.edge.json("client", "grant", "list", "bob")["grants"]
        self.assertEqual((grant["ports"], grant["protocols"]), ("22", "tcp,icmp"))
        self.admin("client", "grant", "add", "bob", "10.116.0.0/16", "--ports", "22")
        self.assertEqual(self.ask("bob", HOST, "--protocol", "icmp")[0], False)
        self.admin("policy", "add", "q", "block", "--client", "bob")
        self.assertEqual(self.ask("bob", HOST, "22"), (False, "policy", "q"))
        self.assertEqual(self.ask("alice", HOST, "22")[0], True)
        self.admin("vnet", "add", "lab")
        self.admin("policy", "add", "r", "block", "--virtual-network", "lab")
        self.refused("policy r speaks of lab", "vnet", "delete", "lab")
        self.assertEqual(self.ask("alice", HOST, "22", "--virtual-network", "lab"),
                         (False, "policy", "r"))

    def test_order(self):
        self.assertEqual(self.policies(), [])
        self.admin("policy", "add", "a", "allow")
        self.assertIn("policy catch-all  position 2", self.admin("policy", "add-catch-all"))
        self.admin("policy", "add", "b", "allow", "--prefix", "10.0.0.0/8")
        self.assertEqual(self.policies(), [(1, "a"), (2, "b"), (3, "catch-all")])
        self.admin("policy", "add", "last", "block", "--position", "4", "--ports", "1")
        self.admin("policy", "move", "catch-all", "1")
        self.assertEqual(self.policies(), [(1, "catch-all"), (2, "a"), (3, "b"), (4, "last")])
        self.admin("policy", "move", "a", "4")
        ids = {p["name"]: p["id"] for p in self.edge.json("policy", "list")["policies"]}
        self.admin("policy", "delete", ids["b"])
        expected = [(1, "catch-all"), (2, "last"), (3, "a")]
        self.assertEqual(self.policies(), expected)
        self.assertEqual(self.edge.process.terminate(), 0)
        self.edge.start()
        self.assertEqual(self.policies(), expected)
        self.assertEqual(self.admin("policy", "list").splitlines()[1].split()[:3],
                         ["1", "catch-all", "block"])

    def test_mistakes(self):
        self.admin("policy", "add-catch-all")
        for reason, argv in (
                ("policy catch-all blocks everything already", ("add-catch-all",)),
                ("there is a policy catch-all already", ("add", "catch-all", "block")),
                ("write allow or block", ("add", "x", "deny")),
                ("position \"9\": write 1 to 2", ("add", "x", "block", "--position", "9")),
                ("position \"-1\"", ("add", "x", "block", "--position=-1")),
                ("no client bert", ("add", "x", "block", "--client", "bert")),
                ("write user@example.com", ("add", "x", "block", "--email", "bert")),
                ("10.0.0.0/8 is meant", ("add", "x", "block", "--prefix", "10.1.0.0/8")),
                ("ports \"x\"", ("add", "x", "block", "--ports", "x")),
                ("icmp has none", ("add", "x", "block", "--ports", "1", "--protocols", "icmp")),
                ("write tcp, udp, icmp", ("add", "x", "block", "--protocols", "sctp")),
                ("no virtual network nope", ("add", "x", "block", "--virtual-network", "nope")),
                ("did you mean catch-all?", ("delete", "catch-al")),
                ("position \"2\": write 1 to 1", ("move", "catch-all", "2")),
                ("icmp has no port", ("test", "alice", HOST, "1", "--protocol", "icmp")),
                ("port is missing", ("test", "alice", HOST)),
                ("write a number", ("test", "alice", HOST, "1-2")),
                ("is not an IP address", ("test", "alice", "host", "22"))):
            with self.subTest(argv):
                self.refused(reason, "policy", *argv)
        self.assertEqual(self.policies(), [(1, "catch-all")])


class Cuts(PolicyCase):
    """A change of the rules ends the streams that they don't allow any more, and no others."""

    def setUp(self):
        super().setUp()
        self.bob = self.edge.create_client("bob")

    def popen(self, name, path):
        process = self.start(name, adit.connect_argv(HOST, 22, path), stdin=-1, stdout=-1,
                             bufsize=0)
        echo_line(process, name)
        return process

    def assertCut(self, process, **wanted):
        self.assertNotEqual(process.wait(), 0)
        return self.line(event="ended", client="alice", **wanted)

    def test_new_block(self):
        alice, bob = self.popen("alice", self.stack.client), self.popen("bob", self.bob)
        self.admin("policy", "add", "not-alice", "block", "--client", "alice")
        line = self.assertCut(alice, result="blocked by policy not-alice")
        self.assertEqual((line["layer"], line["rule"]), ("policy", "not-alice"))
        self.assertEqual((line["bytes_up"], line["bytes_down"]), (6, 6))
        echo_line(bob, "still")

    def test_allow_is_removed_or_moved(self):
        self.admin("policy", "add", "for-alice", "allow", "--client", "alice")
        self.admin("policy", "add", "for-bob", "allow", "--client", "bob")
        self.admin("policy", "add-catch-all")
        alice, bob = self.popen("alice", self.stack.client), self.popen("bob", self.bob)
        self.admin("policy", "delete", "for-alice")
        self.assertCut(alice, result="blocked by policy catch-all", policy="catch-all")
        echo_line(bob, "still")
        self.admin("policy", "move", "catch-all", "1")
        self.assertNotEqual(bob.wait(), 0)

    def test_grant_is_removed_or_narrowed(self):
        alice, bob = self.popen("alice", self.stack.client), self.popen("bob", self.bob)
        self.admin("client", "grant", "add", "alice", "10.116.0.0/16", "--protocols", "udp")
        line = self.assertCut(alice, result="no longer granted")
        self.assertEqual((line["layer"], line["rule"]), ("grant", None))
        echo_line(bob, "still")
        self.admin("client", "grant", "delete", "bob", "10.116.0.0/16")
        self.assertNotEqual(bob.wait(), 0)


class Ssh(Case):
    def test_a_policy_that_goes_cuts_a_live_ssh(self):
        need("sshd")
        sshd = Sshd(self)
        stack = Stack(self, sshd.port)
        stack.edge.admin("policy", "add", "ops", "allow", "--client", "alice")
        stack.edge.admin("policy", "add-catch-all")
        ssh = self.start("ssh", [
            "ssh", *sshd.ssh_options(shlex.join(stack.connect_argv("%h", "%p"))),
            f"{sshd.user}@{HOST}", "cat"], stdin=-1, stdout=-1, bufsize=0)
        echo_line(ssh, "alive")
        stack.edge.admin("policy", "delete", "ops")
        self.assertEqual(ssh.wait(), 255)
        wait_until(lambda: "result=blocked by policy catch-all" in stack.edge.process.log()
                   .replace('"', ""), "the edge to say why", show=stack.edge.process.log_tail)


class AccessLog(PolicyCase):
    def test_lines(self):
        done = self.stack.connect(b"hello\n")
        self.assertEqual(done.stdout, b"hello\n")
        line = self.line(event="ended")
        self.assertEqual({key: line[key] for key in line if key not in ("time", "duration_ms")}, {
            "event": "ended", "client": "alice", "target": f"{HOST}:22", "protocol": "tcp",
            "virtual_network": "default", "tunnel": "t1", "layer": "grant",
            "rule": "10.116.0.0/16", "policy": None, "bytes_up": 6, "bytes_down": 6,
            "result": "ok"})
        self.assertGreaterEqual(line["duration_ms"], 0)
        client = self.stack.scripted_client()
        self.admin("policy", "add", "no", "block", "--ports", "1")
        for authority, wanted in ((f"{HOST}:1", dict(layer="policy", rule="no", policy="no",
                                                     result="not-granted")),
                                  ("10.9.9.9:22", dict(layer="grant", rule=None,
                                                       result="not-granted")),
                                  ("10.116.9.9:22", dict(layer="route", result="no-route")),
                                  ("localhost:22", dict(layer="none", rule=None,
                                                        result="bad-destination"))):
            client.answer(client.connect(authority))
            self.line(event="refused", client="alice", target=authority, bytes_up=0, **wanted)
        for protocol, path, target in (("connect-udp", udp_path(HOST, 1), f"{HOST}:1"),
                                       ("adit-echo", echo_path("10.9.9.9"), "10.9.9.9")):
            Flow(client, protocol, path).answer()
            self.line(event="refused", target=target, result="not-granted",
                      protocol={"connect-udp": "udp"}.get(protocol, "icmp"))
        client.answer(client.connect(f"{HOST}:22", network="nope"))
        self.line(event="refused", layer="network", virtual_network="nope", result="no-network")
        # Strangers are no clients: nothing was decided for them.
        n = len(self.lines())
        client.answer(client.connect(f"{HOST}:22", token="adit_x.y"))
        client.answer(client.connect(f"{HOST}:1"))
        wait_until(lambda: len(self.lines()) > n, "the next line")
        self.assertEqual(len(self.lines()), n + 1)
        self.assertEqual(stat.S_IMODE(os.stat(self.log).st_mode) & 0o137, 0)
        self.assertNotIn(load_token(self.stack.client), str(self.lines()))

    def test_targets_of_datagrams(self):
        """As destinations, not as paths; an echo has no port."""
        client = self.stack.scripted_client()
        self.admin("policy", "add", "no", "block", "--protocols", "udp,icmp")
        for protocol, path, target in (
                ("connect-udp", udp_path(HOST, 53), f"{HOST}:53"),
                ("adit-echo", echo_path(HOST), HOST),
                ("connect-udp", udp_path("fd00::3", 53), "[fd00::3]:53"),
                ("adit-echo", echo_path("fd00::3"), "fd00::3"),
                ("adit-echo", "/nonsense/", "/nonsense/")):
            Flow(client, protocol, path).answer()
            self.line(event="refused", target=target,
                      protocol="udp" if protocol == "connect-udp" else "icmp")
        self.admin("policy", "delete", "no")
        flow = Flow(client, "adit-echo", echo_path(HOST))
        if flow.answer()[0] == "200":
            client.reset(flow.stream)
        self.line(target=HOST, protocol="icmp", tunnel="t1")

    def test_rotation_and_reload(self):
        self.stack.connect(b"one\n")
        self.line(event="ended")
        os.rename(self.log, self.log + ".1")
        self.admin("reload")
        self.stack.connect(b"two\n")
        self.line(event="ended")
        self.assertEqual([len(self.lines()), len(self.lines(self.log + ".1"))], [1, 1])
        with open(self.edge.config, encoding="utf-8") as f:
            text = f.read()
        self.write("edge.yml", text.replace(self.log, self.path("log/none/access.log")))
        self.refused("its folder is missing", "reload")
        self.write("edge.yml", text.replace(self.log, "access.log"))
        self.refused("write the whole path", "reload")
        self.stack.connect(b"three\n")
        wait_until(lambda: len(self.lines()) == 2, "the old log to go on")
        self.write("edge.yml", text.replace(self.log, "off"))
        self.assertEqual(self.edge.json("reload")["changed"], ["access-log"])
        self.stack.connect(b"four\n")
        wait_until(lambda: self.edge.process.log().count("stream ended") == 4, "the fourth")
        self.assertEqual(len(self.lines()), 2)

    def test_a_log_that_cannot_be_opened(self):
        self.assertEqual(self.edge.process.terminate(), 0)
        os.unlink(self.log)
        os.symlink(self.edge.config, self.log)
        done = adit.run([adit.binary("adit-edge"), "run", "--config", self.edge.config])
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"access-log: {self.log}: it is a symbolic link", done.stderr)


class Databases(Case):
    def setUp(self):
        super().setUp()
        self.edge = adit.Edge(self)
        self.db = os.path.join(self.edge.folder, "edge.db")

    def execute(self, *statements):
        with sqlite3.connect(self.db) as db:
            for sql, *values in statements:
                db.execute(sql, values)
        db.close()

    def test_schema_1_is_migrated(self):
        vnet, client = ("11111111-2222-4333-8444-55555555555%d" % i for i in (1, 2))
        with sqlite3.connect(self.db) as db, open(SCHEMA_1, encoding="utf-8") as f:
            db.executescript(f.read())
        db.close()
        os.chmod(self.db, 0o600)
        self.execute(
            ("INSERT INTO meta VALUES ('account_tag', ?)", "a" * 32),
            ("INSERT INTO vnet VALUES (?, 'default', '', 1)", vnet),
            ("INSERT INTO client VALUES (?, 'alice', 'a@b.c', 1, 0)", client),
            ("INSERT INTO client_grant VALUES (?, ?, '10.0.0.0/8', '22')", client, vnet),
            ("INSERT INTO client_grant VALUES (?, ?, '11.0.0.0/8', '*')", client, vnet))
        self.edge.start()
        grants = {g["prefix"]: (g["ports"], g["protocols"])
                  for g in self.edge.json("client", "grant", "list")["grants"]}
        self.assertEqual(grants, {"10.0.0.0/8": ("22", "all"), "11.0.0.0/8": ("all", "all")})
        self.assertEqual(self.edge.json("policy", "list"), {"policies": []})
        self.edge.admin("policy", "add", "p", "block", "--client", "alice")
        self.assertEqual(self.edge.process.terminate(), 0)
        with sqlite3.connect(self.db) as db:
            self.assertEqual(db.execute("PRAGMA user_version").fetchone(), (2,))
            self.assertEqual(db.execute("SELECT name FROM policy").fetchall(), [("p",)])
        db.close()
        self.edge.start()
        answer = self.edge.json("policy", "test", "alice", "10.0.0.1", "22")
        self.assertEqual((answer["layer"], answer["rule"]), ("policy", "p"))

    def test_number_of_policies_is_bounded(self):
        self.edge.start()
        self.edge.admin("policy", "add", "first", "block", "--ports", "1")
        self.assertEqual(self.edge.process.terminate(), 0)
        with sqlite3.connect(self.db) as db:
            db.executemany(
                "INSERT INTO policy VALUES (?, ?, ?, 'block', '', '', '', '', '1', '*', 1)",
                [("00000000-0000-4000-8000-%012d" % i, i, f"p{i}") for i in range(2, 1025)])
        db.close()
        self.edge.start()
        done = self.edge.try_admin("policy", "add", "more", "block")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there are 1024 policies, the most there can be", done.stderr)
        self.edge.admin("policy", "delete", "p7")
        self.edge.admin("policy", "add", "more", "block")
        self.assertEqual([p["position"] for p in self.edge.json("policy", "list")["policies"]],
                         list(range(1, 1025)))


if __name__ == "__main__":
    main()
