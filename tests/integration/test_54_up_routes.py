# SPDX-License-Identifier: Apache-2.0
"""What `adit up` captures, and how it follows the edge: networks, withdrawals, policies,
restarts."""

import subprocess
import sys
import threading

from support import adit, sites
from support.adit import route, routes
from support.case import Case, main
from support.connecting import CONNECT
from support.require import need
from support.stack import echo_line
from support.up import Up
from support.waiting import wait_until

OTHER, OTHER_HOST = "10.9.0.0/24", "10.9.0.5"
# A withdrawal has its effect within 2 s; broken, on a machine however busy, is what takes longer
# than five times that.
EFFECT_S = 10


class RoutesCase(Case):
    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        self.net = sites.Sites(self)

    def connect(self, host):
        return self.net.run("user", sys.executable, "-c", CONNECT, host).stdout.strip()

    def curl(self, host):
        return self.net.run("user", "curl", "-s", "-m", "60", f"http://{host}/").stdout.strip()

    def wait_connect(self, host, result):
        wait_until(lambda: self.connect(host) == result, f"connect to {host}: {result}", EFFECT_S,
                   lambda: self.connect(host))


class FollowTest(RoutesCase):
    """One site."""

    def setUp(self):
        super().setUp()
        self.net.ip("a", "addr", "add", f"{OTHER_HOST}/32", "dev", "lo")
        self.net.serve("a", OTHER_HOST)
        self.lab = sites.Lab(self, self.net, sites_up=("a",))
        self.lab.edge.admin("grant", "add", "a", OTHER)
        self.lab.edge.admin("client", "grant", "add", "ann", OTHER)
        self.agent = self.lab.agents["a"]

    def reload(self, *networks):
        self.agent.configure(routes(*(route(n) for n in networks)))
        self.assertEqual(self.agent.reload().returncode, 0)

    def test_routes_come_and_go(self):
        up = Up(self, self.lab).wait_up()
        self.assertEqual(self.connect(sites.HOST4), "ok")
        self.assertEqual(self.connect(OTHER_HOST), "ENETUNREACH")
        self.reload(sites.SITE4, OTHER)
        up.wait_captured(sites.SITE4, OTHER)
        self.wait_connect(OTHER_HOST, "ok")
        self.reload(OTHER)
        self.wait_connect(sites.HOST4, "ENETUNREACH")
        up.wait_captured(OTHER)
        self.assertEqual(self.connect(OTHER_HOST), "ok")
        wait_until(lambda: sites.SITE4 not in self.net.ip_json("user", "route", "show", "table",
                                                               "44301"),
                   "the kernel's route to be gone", EFFECT_S)

    def test_a_route_goes_while_another_flaps(self):
        Up(self, self.lab).wait_captured(sites.SITE4, sites.SITE6)
        stop = threading.Event()

        def flap():
            while not stop.is_set():
                for verb in ("add", "delete"):
                    self.lab.edge.try_admin("route", verb, OTHER, *(["a"] if verb == "add" else []))
        self.addCleanup(stop.set)
        flapping = self.thread(flap)
        self.reload(sites.SITE6)
        try:
            wait_until(lambda: sites.SITE4 not in self.net.ip_json(
                "user", "route", "show", "table", "44301"), "the kernel's route to be gone",
                EFFECT_S)
        finally:
            stop.set()
            flapping.join()

    def test_a_grant_comes_and_goes(self):
        up = Up(self, self.lab).wait_up()
        self.reload(sites.SITE4, OTHER)
        up.wait_captured(sites.SITE4, OTHER)
        self.lab.edge.admin("client", "grant", "delete", "ann", OTHER)
        up.wait_captured(sites.SITE4)
        self.lab.edge.admin("client", "grant", "add", "ann", f"{OTHER_HOST}/32")
        up.wait_captured(sites.SITE4, f"{OTHER_HOST}/32")

    def test_a_gone_agent_is_told_and_comes_back(self):
        up = Up(self, self.lab).wait_up()
        self.agent.terminate()
        self.wait_connect(sites.HOST4, "ENETUNREACH")
        self.assertIn(sites.SITE4, up.captured())
        self.agent.start().wait_state("Healthy")
        self.wait_connect(sites.HOST4, "ok")

    def test_edge_restart_keeps_the_table(self):
        up = Up(self, self.lab).wait_up()
        before = self.lab.edge.json("route", "list")["routes"]
        self.lab.edge.process.kill()
        wait_until(lambda: not up.status()["connected"], "the loss to be seen")
        self.assertEqual(sorted(up.captured()), sorted(self.net.networks()))
        self.lab.edge.start()
        after = self.lab.edge.json("route", "list")["routes"]
        self.assertEqual([(r["network"], r["tunnel"]) for r in before],
                         [(r["network"], r["tunnel"]) for r in after])
        self.agent.wait_state("Healthy")
        self.agent.wait_accepted()
        wait_until(lambda: up.status()["connected"], "the link to be made again")
        self.wait_connect(sites.HOST4, "ok")

    def test_new_connections_wait_for_the_link(self):
        up = Up(self, self.lab).wait_up()
        self.lab.edge.process.kill()
        wait_until(lambda: not up.status()["connected"], "the loss to be seen")
        waiting = self.start("waiting", self.net.prefix("user") + [
            sys.executable, "-c", CONNECT, sites.HOST4], stdout=subprocess.PIPE)
        wait_until(lambda: up.status()["flows"]["held"] > 0 or not waiting.running(),
                   "the connection to be held")
        self.lab.edge.start()
        # Answered by the next try: there, or told that the agent isn't back yet.
        self.assertIn(waiting.stdout.read().strip(), (b"ok", b"ENETUNREACH"))

    def test_removing_a_policy_cuts_a_live_ssh(self):
        need("sshd")
        sshd = self.net.sshd("a")
        self.lab.edge.admin("policy", "add", "allow-ssh", "allow", "--client", "ann",
                            "--ports", "22")
        self.lab.edge.admin("policy", "add-catch-all")
        Up(self, self.lab).wait_up()
        shell = self.start("ssh", self.net.prefix("user") + [
            "ssh", *sshd.ssh_options(), f"{sshd.user}@{sites.HOST4}", "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        echo_line(shell, "there")
        self.assertIn(self.connect(sites.HOST4), ("EHOSTUNREACH", "EACCES"))
        self.lab.edge.admin("policy", "delete", "allow-ssh")
        self.assertEqual(shell.wait(EFFECT_S), 255)

    def test_include_list(self):
        up = Up(self, self.lab, "--include", f"{sites.HOST4}/32", "--include", "10.77.0.0/16")
        up.wait_up().wait_captured(f"{sites.HOST4}/32", "10.77.0.0/16")
        self.assertEqual(self.connect(sites.HOST4), "ok")
        self.assertEqual(self.connect("10.77.1.1"), "EHOSTUNREACH")
        self.assertEqual(self.connect(sites.QUIET4), "ENETUNREACH")

    def test_exclude(self):
        up = Up(self, self.lab, "--exclude", "default", "--include", sites.SITE4).wait_up()
        captured = up.captured()
        self.assertIn(sites.SITE4, captured)
        self.assertIn("8.0.0.0/7", captured)
        self.assertNotIn("10.0.0.0/8", captured)
        self.assertEqual(self.connect(sites.HOST4), "ok")
        self.assertEqual(self.connect(sites.QUIET6), "ENETUNREACH")
        # The edge is 203.0.113.1: captured, but for its own address.
        self.assertTrue(up.status()["connected"])
        self.assertEqual(up.process.terminate(), 0)
        alone = Up(self, self.lab, "--exclude", "10.0.0.128/25", name="alone").wait_up()
        self.assertIn("10.0.0.0/25", alone.captured())
        self.assertEqual(self.connect(sites.HOST4), "ok")

    def test_bad_command_lines(self):
        for argv, word in ((("--include", "10.0.0.1/8"), "10.0.0.0/8 is meant"),
                           (("--instance", "64"), "instance"),
                           (("--edge", "nowhere"), "HOST:PORT"),
                           (("--user", "nobody-of-that-name"), "no such user"),
                           (("--config", self.path("absent.yml")), "absent.yml")):
            with self.subTest(argv=argv):
                up = Up(self, self.lab, *argv, name=f"bad{argv[0]}")
                self.assertEqual(up.process.wait(), 78)
                self.assertIn(word, up.process.log())


class NetworksTest(RoutesCase):
    """Two sites with the same network in two virtual networks."""

    def setUp(self):
        super().setUp()
        self.net.ip("b", "addr", "add", f"{OTHER_HOST}/32", "dev", "lo")
        self.net.serve("a")
        self.net.serve("b", OTHER_HOST)
        self.lab = sites.Lab(self, self.net)

    def test_overlap_is_refused_naming_both(self):
        up = Up(self, self.lab)
        self.assertEqual(up.process.wait(), 64)
        for word in ("10.0.0.0/24", "default", "staging", "adit exec"):
            self.assertIn(word, up.process.log())

    def test_one_is_chosen(self):
        for network, site in (("default", "a"), ("staging", "b")):
            up = Up(self, self.lab, "--virtual-network", network, name=network).wait_up()
            self.assertEqual(self.curl(sites.HOST4), site)
            up.process.terminate()

    def test_networks_that_do_not_overlap(self):
        """Both are served at once; an overlap that comes later is left out and said."""
        for verb in (("grant", "add", "b"), ("client", "grant", "add", "ann")):
            self.lab.edge.admin(*verb, OTHER, "--virtual-network", "staging")
        agent = self.lab.agents["b"]
        agent.configure(routes(route(OTHER, virtual_network="staging")))
        self.assertEqual(agent.reload().returncode, 0)
        wait_until(lambda: all(r["network"] != sites.SITE4 or r["tunnel"] == "a"
                               for r in self.lab.edge.json("route", "list")["routes"]),
                   "the overlap to be gone")
        up = Up(self, self.lab).wait_up()
        self.assertEqual((self.curl(sites.HOST4), self.curl(OTHER_HOST)), ("a", "b"))
        agent.configure(routes(route(OTHER, virtual_network="staging"),
                               route(sites.SITE4, virtual_network="staging")))
        self.assertEqual(agent.reload().returncode, 0)
        up.process.wait_log("two virtual networks overlap")
        self.assertEqual((self.curl(sites.HOST4), self.curl(OTHER_HOST)), ("a", "b"))

    def test_both_at_once(self):
        """The same address twice at the same time: up in one network, connect in the other."""
        need("sshd")
        keys = {site: self.net.sshd(site) for site in ("a", "b")}
        Up(self, self.lab, "--virtual-network", "default").wait_up()
        prod, staging = keys["a"], keys["b"]
        proxy = " ".join(adit.connect_argv("%h", "%p", self.lab.client, "--virtual-network",
                                           "staging"))
        there = f"{prod.user}@{sites.HOST4}"
        done = self.net.run("user", "ssh", *prod.ssh_options(), there, "exit 3")
        self.assertEqual(done.returncode, 3, done.stderr)
        done = self.net.run("user", "ssh", *staging.ssh_options(proxy), there, "exit 4")
        self.assertEqual(done.returncode, 4, done.stderr)
        wrong = self.net.run("user", "ssh", *staging.ssh_options(), there, "exit 5")
        self.assertEqual(wrong.returncode, 255, "site b's key was accepted at site a")


main()
