# SPDX-License-Identifier: Apache-2.0
"""The traps of a TUN client, each through a real `adit up`. Where the others are shown:

partial checksums         unit.tun.checksum, unit.tun.nat_tcp
missing USO               unit.tun.tun_device
kill -9, then start       50_tun_host, 52_up
two instances             50_tun_host, 52_up
device down or deleted    52_up
changes without rights    50_tun_host (capabilities), unit.client.net_helper
ENOBUFS in the watcher    unit.tun.netlink_watch
"""

import json
import os
import re
import signal
import subprocess
import sys

from support import netns, sites
from support.case import Case, main
from support.connecting import CONNECT
from support.require import need
from support.up import Up, network_state
from support.waiting import wait_until

HOSTS = (sites.HOST4, sites.HOST6)
QUIETS = (sites.QUIET4, sites.QUIET6)

# What is sent there is never heard of again.
HOLE4, HOLE6 = "10.0.0.66", "fd00:5::66"

# What a connected UDP socket hears of a datagram.
UDP_ERROR = """
import errno, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"?")
try:
    s.recv(100)
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""


class TrapCase(Case):
    edge_settings = agent_settings = ""

    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        self.net = sites.Sites(self)
        self.net.serve("a")
        self.lab = sites.Lab(self, self.net, self.edge_settings.replace("TMP", self.tmp),
                             sites_up=("a",), agent_settings=self.agent_settings)

    def start_up(self, *argv, **options):
        return Up(self, self.lab, *argv, **options).wait_up()

    def user(self, *argv, **options):
        return self.net.run("user", *argv, **options)

    def check(self, *argv):
        done = self.user(*argv)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, code, *argv):
        return self.check(sys.executable, "-c", code, *argv).strip()

    def background(self, name, code, *argv, role="user", **options):
        return self.start(name, self.net.prefix(role) + [sys.executable, "-u", "-c", code, *argv],
                          **options)

    def fetch(self, address):
        return self.check("curl", "-s", "-g", "-m", "60", sites.url(address))

    def grant_nowhere(self):
        """Networks that the user may reach and nobody serves."""
        for network in ("10.0.9.0/24", "fd00:5:0:9::/64"):
            self.lab.edge.admin("client", "grant", "add", "ann", network)

    def blackhole(self):
        self.net.ip("a", "route", "add", HOLE4, "via", "198.51.101.1")
        self.net.ip("a", "-6", "route", "add", HOLE6, "via", "2001:db8:1::1")
        self.net.ip("edge", "route", "add", "blackhole", HOLE4)
        self.net.ip("edge", "-6", "route", "add", "blackhole", HOLE6)

    def dropped(self, up, why):
        return up.status()["flows"]["dropped"].get(why, 0)


class FirewallTest(TrapCase):
    """Nothing but answers comes in: what a workstation's firewall says."""

    RULES = """
    table inet filter {
        chain input {
            type filter hook input priority 0; policy drop;
            ct state established,related accept
            iif lo accept
        }
    }
    """

    def setUp(self):
        need("nft")
        super().setUp()

    def test_input_drop(self):
        self.check("nft", self.RULES)
        self.grant_nowhere()
        self.start_up("--include", "10.0.0.0/16", "--include", "fd00:5::/48")
        for host, quiet, nowhere in zip(HOSTS, QUIETS, ("10.0.9.9", "fd00:5:0:9::9")):
            with self.subTest(host=host):
                self.assertEqual(self.fetch(host), "a\n")
                self.assertEqual(self.python(CONNECT, quiet, "9"), "ECONNREFUSED")
                # This one comes as an ICMP error.
                self.assertEqual(self.python(CONNECT, nowhere, "9"), "ENETUNREACH")
                self.assertEqual(self.python(UDP_ERROR, host, "9"), "ECONNREFUSED")
                self.check("ping", "-c", "1", "-W", "30", host)


class EdgeInsideTest(TrapCase):
    """The edge's address, and the network that leads there, lie in what is captured."""

    def setUp(self):
        super().setUp()
        # As on most machines: nothing but the default route leads to the edge.
        self.net.ip("user", "route", "del", sites.EDGE4)
        self.net.ip("user", "route", "add", "default", "via", "198.51.100.1")
        self.before = network_state(self.net)

    def rp_drops(self):
        lines = self.check("cat", "/proc/net/netstat").splitlines()
        names, values = [line.split() for line in lines if line.startswith("TcpExt:")]
        return int(dict(zip(names, values))["IPReversePathFilter"])

    def edge_sources(self, up):
        """Local addresses of the connections to the edge."""
        rows = self.check("ss", "-Htn", "state", "established", "dst", sites.EDGE4).splitlines()
        self.assertTrue(rows, up.process.log_tail())
        return {row.split()[2].rsplit(":", 1)[0] for row in rows}

    def run_one(self, number, rp_filter, local_wins):
        for name in ("all", "default", "wan"):
            self.net.sysctl("user", f"net/ipv4/conf/{name}/rp_filter", rp_filter)
        before = self.rp_drops()
        config = self.write(f"client{number}.yml",
                            f"local-networks-win: {'on' if local_wins else 'off'}\n"
                            "include: [203.0.0.0/16, 198.51.0.0/16, 10.0.0.0/24]\n")
        up = self.start_up("--config", config, name=f"up{number}")
        self.assertIn("adit0", self.check("ip", "route", "get", "203.0.113.9"))
        self.assertIn("dev wan", self.check("ip", "route", "get", sites.EDGE4))
        self.assertEqual(self.fetch(sites.HOST4), "a\n")
        self.assertEqual(self.edge_sources(up), {"198.51.100.2"})
        self.assertEqual(self.rp_drops(), before)
        self.assertEqual(up.process.terminate(), 0)
        # A throw route that stays would hide a loop in the next round.
        self.assertEqual(self.check("ip", "route", "show", "table", "all", "proto", "173"), "")
        wait_until(lambda: network_state(self.net) == self.before, "the network to be as before")

    def test_rp_filter(self):
        number = 0
        for rp_filter in (0, 1, 2):
            for local_wins in (True, False):
                with self.subTest(rp_filter=rp_filter, local_wins=local_wins):
                    self.run_one(number, rp_filter, local_wins)
                number += 1


class SecondEdgeTest(TrapCase):
    """The edge shows a route to an address of its own that was not dialled yet."""

    EDGE2 = "203.0.113.2"

    def setUp(self):
        super().setUp()
        self.net.ip("user", "route", "add", self.EDGE2, "via", "198.51.100.1")
        edge = self.lab.edge
        edge.admin("client", "grant", "add", "ann", f"{self.EDGE2}/32")
        edge.admin("route", "add", f"{self.EDGE2}/32", "a")
        with open(self.lab.client, encoding="utf-8") as f:
            document = json.load(f)
        document["edges"].append(f"{self.EDGE2}:{edge.port}")
        with open(self.lab.client, "w", encoding="utf-8") as f:
            json.dump(document, f)

    def own_route(self):
        return self.check("ip", "route", "show", self.EDGE2, "table", "44301")

    def test_it_is_kept_outside(self):
        up = self.start_up("--config", self.write("up.yml", "local-networks-win: off\n"))
        up.wait_captured(*self.net.networks(), f"{self.EDGE2}/32")
        self.assertIn("adit0", self.own_route())
        self.lab.edge.kill()
        wait_until(lambda: "throw" in self.own_route(), "the address to be kept outside",
                   show=self.own_route)
        self.assertIn("dev wan", self.check("ip", "route", "get", self.EDGE2))
        self.assertNotIn(f"{self.EDGE2}/32", up.captured())
        self.lab.edge.start()
        wait_until(lambda: up.status()["connected"], "the link to the edge")
        up.wait_captured(*self.net.networks())
        self.assertIn("throw", self.own_route())
        self.assertEqual(up.status()["routes"]["failed"], 0)


class Lan:
    """A network that the user's machine is in, which lies inside of the site's: the machine is
    10.0.0.130, the neighbour's namespace has 10.0.0.200."""

    NETWORK, OWN, NEIGHBOUR = "10.0.0.128/25", "10.0.0.130", "10.0.0.200"

    def __init__(self, case):
        net = case.net
        net.names["lan"] = netns.add(case, net.names["user"] + "lan")
        net.ip("user", "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns",
               net.names["lan"])
        for role, address in (("user", self.OWN), ("lan", self.NEIGHBOUR)):
            net.ip(role, "link", "set", "lan0", "addrgenmode", "none")
            net.ip(role, "addr", "add", f"{address}/25", "dev", "lan0")
            net.ip(role, "link", "set", "lan0", "up")

    @staticmethod
    def serve(case, role, name, address):
        """site_server.py, which says @name."""
        program = os.path.join(os.path.dirname(sites.__file__), "site_server.py")
        case.start(f"server-{name}", case.net.prefix(role) + [
            sys.executable, program, name, address]).wait_log("ready")


class LanTest(TrapCase):
    def setUp(self):
        super().setUp()
        self.lan = Lan(self)

    def test_lan_inside_a_capture(self):
        for name in ("all", "default", "wan", "lan0"):
            self.net.sysctl("user", f"net/ipv4/conf/{name}/rp_filter", 1)
        # The site has a host of the neighbour's address, too.
        self.net.ip("a", "addr", "add", f"{Lan.NEIGHBOUR}/32", "dev", "lo")
        Lan.serve(self, "a", "far", Lan.NEIGHBOUR)
        Lan.serve(self, "lan", "near", Lan.NEIGHBOUR)
        Lan.serve(self, "user", "own", Lan.OWN)
        up = self.start_up()
        self.assertIn("dev lan0", self.check("ip", "route", "get", Lan.NEIGHBOUR))
        self.assertEqual(self.fetch(Lan.NEIGHBOUR), "near\n")
        done = self.net.run("lan", "curl", "-s", "-m", "60", sites.url(Lan.OWN))
        self.assertEqual(done.stdout, "own\n")
        self.assertEqual(self.fetch(sites.HOST4), "a\n")
        self.assertIn({"network": Lan.NETWORK, "interface": "lan0"},
                      up.status()["routes"]["local_networks"])
        text = up.command("up", "--status").stdout
        self.assertRegex(text, r"10\.0\.0\.128/25\s+lan0")
        self.assertIn("a local network wins over the tunnel", up.process.log())
        up.process.terminate()
        # The other way round.
        config = self.write("client.yml", "local-networks-win: off\n")
        up = self.start_up("--config", config, name="off")
        self.assertEqual(self.fetch(Lan.NEIGHBOUR), "far\n")
        self.assertEqual(up.status()["routes"]["local_networks"], [])

    def test_other_sources(self):
        """A program may bind to another address of this machine; other machines' packets that
        come here to be forwarded are not taken."""
        self.net.ip("user", "addr", "add", "192.0.2.7/32", "dev", "lo")
        self.net.ip("user", "-6", "addr", "add", "2001:db8:7::7/128", "dev", "lo", "nodad")
        up = self.start_up()
        for host, own in zip(HOSTS, ("192.0.2.7", "2001:db8:7::7")):
            self.assertEqual(self.python(CONNECT, host, "7", own), "ok")
        self.assertEqual(self.python(UDP_ERROR.replace("s.connect", "s.bind((sys.argv[3], 0))\n"
                                                       "s.connect"),
                                     sites.HOST4, "9", "192.0.2.7"), "ECONNREFUSED")
        self.net.sysctl("user", "net/ipv4/ip_forward", 1)
        self.net.ip("lan", "route", "add", "10.0.0.0/25", "via", Lan.OWN)
        asked = up.status()["flows"]["asked"]
        self.background("foreign", CONNECT, sites.HOST4, "7", role="lan")
        wait_until(lambda: self.dropped(up, "source address not local") > 0,
                   "the forwarded packet to be refused", show=lambda: str(up.status()))
        self.assertEqual(up.status()["flows"]["asked"], asked)


class HeldTest(TrapCase):
    edge_settings = "access-log: TMP/access.log\n"
    agent_settings = "warp-routing:\n  connectTimeout: 45s\n"

    def lines(self, target):
        with open(self.path("access.log"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        return [row for row in rows if target in row["target"]]

    def wait_held(self, up, n):
        wait_until(lambda: self.dropped(up, "SYN sent again while held") >= n,
                   "SYNs to be sent again", show=lambda: str(up.status()))

    def test_asked_once(self):
        """The kernel sends its SYN again and again; the target is dialled once, and is there in
        the end."""
        self.blackhole()
        server = self.background("server", """
import socket
s = socket.create_server(("0.0.0.0", 4000))
print("ready", flush=True)
while True:
    s.accept()[0].close()
    print("accepted", flush=True)
""", role="a")
        server.wait_log("ready")
        up = self.start_up()
        client = self.background("client", CONNECT, HOLE4, "4000")
        self.wait_held(up, 3)
        flows = up.status()["flows"]
        self.assertEqual((flows["asked"], flows["held"], flows["tcp"]), (1, 1, 1))
        self.net.ip("a", "addr", "add", f"{HOLE4}/32", "dev", "lo")
        self.assertEqual(client.wait(), 0)
        self.assertEqual(client.log(), "ok\n")
        wait_until(lambda: self.lines(HOLE4), "the edge's line about it")
        self.assertEqual(up.status()["flows"]["asked"], 1)
        self.assertEqual(server.log().count("accepted"), 1)
        self.assertEqual(len(self.lines(HOLE4)), 1)

    def test_no_answer_in_time(self):
        """The client's own limit, with no answer of anybody's."""
        self.blackhole()
        up = self.start_up()
        clients = [self.background(f"client{i}", CONNECT, hole, "4000")
                   for i, hole in enumerate((HOLE4, HOLE6))]
        for client in clients:
            self.assertEqual(client.wait(), 0)
            self.assertEqual(client.log(), "EHOSTUNREACH\n")
        flows = up.status()["flows"]
        self.assertEqual((flows["asked"], flows["held"], flows["tcp"]), (2, 0, 0))
        # The question is taken back, so nobody dials any more.
        for hole in (HOLE4, HOLE6):
            wait_until(lambda: self.lines(hole), "the edge to end it")
            self.assertEqual([row["result"] for row in self.lines(hole)],
                             ["given up by the client"])


class ErrorsTest(TrapCase):
    agent_settings = "warp-routing:\n  connectTimeout: 1s\n"

    def connect(self, address, port="7"):
        return self.python(CONNECT, address, port)

    def test_errors(self):
        """What the application hears, by both families and transports."""
        self.blackhole()
        self.grant_nowhere()
        self.net.ip("a", "route", "add", "unreachable", "10.0.0.70")
        self.net.ip("a", "-6", "route", "add", "unreachable", "fd00:5::70")
        self.lab.edge.admin("policy", "add", "no-gopher", "block", "--ports", "70")
        self.start_up("--include", "10.0.0.0/16", "--include", "fd00:5::/48")
        rows = (
            # IPv4, IPv6, port: of TCP for IPv4, and for IPv6
            (*HOSTS, "7", "ok", "ok"),
            (*QUIETS, "9", "ECONNREFUSED", "ECONNREFUSED"),
            ("10.0.0.70", "fd00:5::70", "7", "EHOSTUNREACH", "EHOSTUNREACH"),
            (HOLE4, HOLE6, "7", "EHOSTUNREACH", "EHOSTUNREACH"),
            ("10.0.9.9", "fd00:5:0:9::9", "7", "ENETUNREACH", "ENETUNREACH"),
            (*HOSTS, "70", "EHOSTUNREACH", "EACCES"),
        )
        for ip4, ip6, port, want4, want6 in rows:
            with self.subTest(ip4=ip4, port=port):
                self.assertEqual(self.connect(ip4, port), want4)
                self.assertEqual(self.connect(ip6, port), want6)
        for host, forbidden in zip(HOSTS, ("EHOSTUNREACH", "EACCES")):
            self.assertEqual(self.python(UDP_ERROR, host, "9"), "ECONNREFUSED")
            self.assertEqual(self.python(UDP_ERROR, host, "70"), forbidden)

    def test_connector_down(self):
        self.start_up()
        for host in HOSTS:
            self.assertEqual(self.connect(host), "ok")
        self.lab.agents["a"].process.kill()
        wait_until(lambda: not self.lab.edge.agents(), "the edge to notice")
        for host in HOSTS:
            self.assertEqual(self.connect(host), "ENETUNREACH")

    def test_not_granted(self):
        up = self.start_up()
        for network in self.net.networks():
            self.lab.edge.admin("client", "grant", "delete", "ann", network)
        up.wait_captured()
        up.process.terminate()
        up = self.start_up("--include", sites.SITE4, "--include", sites.SITE6, name="again")
        self.assertEqual(self.connect(sites.HOST4), "EHOSTUNREACH")
        self.assertEqual(self.connect(sites.HOST6), "EACCES")


class DatagramsTest(TrapCase):
    SEGMENTS = """
import socket, sys
SOL_UDP, UDP_SEGMENT = 17, 103
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b"hello")        # before a flow is open only a few datagrams are kept
s.recv(100)
s.setsockopt(SOL_UDP, UDP_SEGMENT, 1200)
s.send(b"".join(bytes([i]) * 1200 for i in range(50)) + b"end")
print(s.recv(100).decode())
"""
    COUNTER = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 4001))
print("ready", flush=True)
got = []
while True:
    data, peer = s.recvfrom(70000)
    if data == b"hello":
        s.sendto(data, peer)
        continue
    got.append(data)
    if data.endswith(b"end"):
        right = got[:-1] == [bytes([i]) * 1200 for i in range(50)] and data == b"end"
        s.sendto(b"right" if right else str([len(d) for d in got]).encode()[:90], peer)
"""
    # As large as IPv4 can carry, and with "don't fragment".
    LARGE = """
import socket, sys
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
s.settimeout(60)
s.connect((sys.argv[1], 7))
for size in (65507, 1473, 65507, 9000):
    s.send(b"x" * size)
    assert len(s.recv(70000)) == size
"""
    MAXSEG = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(60)
s.connect((sys.argv[1], 7))
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
"""

    def test_segments(self):
        """One frame of fifty datagrams is fifty datagrams there."""
        self.start_up()
        for i, host in enumerate(HOSTS):
            self.background(f"counter{i}", self.COUNTER, host, role="a").wait_log("ready")
            self.assertEqual(self.python(self.SEGMENTS, host, "4001"), "right")

    def test_no_path_mtu_is_learnt(self):
        self.start_up()
        self.python(self.LARGE, sites.HOST4)
        for host in HOSTS:
            self.assertNotIn("mtu", self.check("ip", "route", "get", host))
            self.assertGreater(int(self.python(self.MAXSEG, host)), 30000)


class KernelTest(TrapCase):
    HOLD = """
import socket, sys
kept = [socket.create_connection((host, 7), 60) for host in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""

    def congestion(self):
        rows = self.check("ss", "-Htni", "dport", "=", "7")
        return [word for word in rows.split() if word in ("reno", "bbr", "cubic")]

    def test_congestion_control(self):
        """Pacing and loss models only cost on a path inside of the machine."""
        for role in ("user", "a"):
            self.net.sysctl(role, "net/ipv4/tcp_congestion_control", "reno")
        # The setting counts: a connection that isn't captured has it.
        server = self.background("near", """
import socket
s = socket.create_server(("127.0.0.1", 7))
print("ready", flush=True)
kept = s.accept()
s.accept()
""")
        server.wait_log("ready")
        self.start_up()
        local = self.background("local", self.HOLD, "127.0.0.1", stdin=subprocess.PIPE)
        local.wait_log("ready")
        self.assertEqual(self.congestion(), ["reno"])
        local.stdin.close()
        local.wait()
        held = self.background("held", self.HOLD, *HOSTS, stdin=subprocess.PIPE)
        held.wait_log("ready")
        wait_until(lambda: self.congestion() == ["cubic", "cubic"], "cubic on both",
                   show=self.congestion)

    def test_device_goes_though_the_helper_lives(self):
        """Nobody but the main process has the device's descriptor."""
        before = network_state(self.net)
        up = self.start_up()
        helper = up.helper_pid()
        os.kill(helper, signal.SIGSTOP)
        self.addCleanup(self.go_on, helper)
        up.process.kill()
        wait_until(lambda: "adit0" not in self.check("ip", "link"), "the device to go")
        self.assertTrue(os.path.exists(f"/proc/{helper}"))
        self.go_on(helper)
        wait_until(lambda: network_state(self.net) == before, "the network to be as before")

    @staticmethod
    def go_on(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().startswith("adit"):
                    os.kill(pid, signal.SIGCONT)
        except OSError:
            pass


class OneDeviceTest(TrapCase):
    """No right to make a network namespace, neither by CAP_SYS_ADMIN nor, in a changed root
    folder, by a user namespace."""

    def start_up(self, *argv, **options):
        root = self.path("root")
        os.mkdir(root)
        plain = self.net.prefix
        bare = ["unshare", "--mount", "sh", "-c",
                "mount --rbind / \"$0\" && exec chroot \"$0\" setpriv --bounding-set=-sys_admin "
                "-- \"$@\"", root]
        self.net.prefix = lambda role: plain(role) + bare
        try:
            up = Up(self, self.lab, *argv, **options)
        finally:
            self.net.prefix = plain
        return up.wait_up()

    def test_one_device(self):
        before = network_state(self.net)
        up = self.start_up()
        self.assertEqual(up.status()["host"]["form"], "one device")
        self.assertIn("CAP_SYS_ADMIN is needed", up.process.log())
        self.assertIn("one device only: a firewall that drops new inbound connections will stop "
                      "it", up.process.log())
        for host, quiet in zip(HOSTS, QUIETS):
            self.assertEqual(self.fetch(host), "a\n")
            self.assertEqual(self.python(CONNECT, quiet, "9"), "ECONNREFUSED")
            self.assertEqual(self.python(UDP_ERROR, host, "9"), "ECONNREFUSED")
            self.check("ping", "-c", "1", "-W", "30", host)
        self.assertNotEqual(self.check("ss", "-Hltn"), "")
        self.assertEqual(up.process.terminate(), 0)
        wait_until(lambda: network_state(self.net) == before, "the network to be as before")

    def test_firewall_stops_it(self):
        """As it says."""
        need("nft")
        self.check("nft", FirewallTest.RULES.replace("iif lo accept", "iif lo accept\ncounter"))
        self.start_up()
        self.background("client", CONNECT, sites.HOST4, "7")
        # The SYN for the listener, which the kernel sends again.
        wait_until(lambda: self.refused_packets() >= 2, "the firewall to refuse it")
        self.assertEqual(self.check("ss", "-Htn", "state", "established", "dport", "=", "7"), "")

    def refused_packets(self):
        return int(re.search(r"counter packets (\d+)", self.check("nft", "list", "ruleset"))[1])


if __name__ == "__main__":
    main()
