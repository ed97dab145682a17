# SPDX-License-Identifier: Apache-2.0
"""Private names with `adit up`: the stub name server on P, and who is told of it."""

import os
import sys

from support import sites
from support.case import Case, main
from support.require import need
from support.up import Up, network_state
from support.waiting import wait_until

PEER4 = "100.96.0.2"
PATIENT = ("+tries=1", "+time=60")

# A name server that hears and says nothing.
SILENT = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    s.recv(65535)
    print("asked", flush=True)
"""

# A name server on this machine that knows one address for all names.
ANYTHING = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    query, client = s.recvfrom(65535)
    at = query.index(b"\\0", 12)
    print(query[12:at], flush=True)
    s.sendto(query[:2] + bytes.fromhex("81800001000100000000") + query[12:at + 5] +
             bytes.fromhex("c00c00010001000000100004") + bytes((192, 0, 2, 80)), client)
"""

# N queries by TCP at once, in two uneven pieces; the ids of the answers and whether the end came.
PIPELINE = """
import socket, struct, sys
def query(i):
    name = b"".join(bytes([len(l)]) + l.encode() for l in "host.corp.test".split(".")) + b"\\0"
    return struct.pack("!6H", i, 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", 16, 1)
s = socket.create_connection((sys.argv[1], 53), timeout=60)
data = b"".join(struct.pack("!H", len(q)) + q for q in map(query, range(1, int(sys.argv[2]) + 1)))
s.sendall(data[:1])
s.sendall(data[1:])
f = s.makefile("rb")
for i in range(int(sys.argv[2])):
    answer = f.read(struct.unpack("!H", f.read(2))[0])
    print(struct.unpack("!H", answer[:2])[0], answer[-1:].decode())
"""

# N different queries from one socket at once; how many are answered, each id once.
MANY = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)    # SO_RCVBUFFORCE: all answers have room
s.settimeout(60)
s.connect((sys.argv[1], 53))
count = int(sys.argv[2])
name = b"".join(bytes([len(l)]) + l.encode() for l in "host.corp.test".split(".")) + b"\\0"
for i in range(count):
    s.send(struct.pack("!6H", i, 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", 16, 1))
ids = set()
while len(ids) < count:
    ids.add(struct.unpack("!H", s.recv(65535)[:2])[0])
print(len(ids))
"""

# A zone transfer is asked for by TCP; the rcode.
TRANSFER = """
import socket, struct, sys
s = socket.create_connection((sys.argv[1], 53), timeout=60)
query = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\\4corp\\4test\\0" + \
    struct.pack("!2H", int(sys.argv[2]), 1)
s.sendall(struct.pack("!H", len(query)) + query)
f = s.makefile("rb")
answer = f.read(struct.unpack("!H", f.read(2))[0])
print(answer[3] & 15)
"""

# N connections that say nothing: how many are left once one was ended, and at the end.
IDLE = """
import selectors, socket, sys
ready = selectors.DefaultSelector()
for i in range(int(sys.argv[2])):
    ready.register(socket.create_connection((sys.argv[1], 53), timeout=60), selectors.EVENT_READ)
first = True
while ready.get_map():
    for key, _ in ready.select(60):
        assert key.fileobj.recv(1) == b""
        ready.unregister(key.fileobj)
    if first:
        print(len(ready.get_map()))
    first = False
print(len(ready.get_map()))
"""

# What isn't a query, to the stub, then a good one: only that is answered.
GARBAGE = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], 53))
for data in (b"", b"x", b"\\0" * 11, struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0) + b"\\0\\0\\1\\0\\1"):
    s.send(data)
s.send(struct.pack("!6H", 2, 0, 1, 0, 0, 0) + b"\\xc0\\x0c\\0\\1\\0\\1")
print(s.recv(65535).hex())
"""


def resolv_conf():
    try:
        with open("/etc/resolv.conf", "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


class DnsCase(Case):
    sites_up = ("a",)

    def setUp(self):
        need("root", "netns", "tun", "dig")
        super().setUp()
        self.net = sites.Sites(self, "46")
        for site in self.sites_up:
            self.net.serve(site)
        self.lab = sites.Lab(self, self.net, sites_up=self.sites_up)

    def up(self, forwards, *argv, resolvectl="/nonexistent/resolvectl", **options):
        config = self.write("client.yml", f"resolvectl: {resolvectl}\ndns:\n{forwards}".encode())
        return Up(self, self.lab, "--config", config, *argv, **options).wait_up()

    def dig(self, *argv, server=PEER4):
        """What dig prints; its answers alone with "+short"."""
        done = self.net.run("user", "dig", f"@{server}", *PATIENT, *argv)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, code, *argv):
        done = self.net.run("user", sys.executable, "-c", code, *argv)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def silent(self, address):
        """A server at @address of site a that never answers."""
        server = self.start("silent", self.net.prefix("a") + [sys.executable, "-c", SILENT,
                                                              address])
        server.wait_log("ready")
        return server


class LookupTest(DnsCase):
    def setUp(self):
        super().setUp()
        self.before = resolv_conf()
        self.adit = self.up(f"- {{domain: corp.test, servers: {sites.HOST4}}}\n"
                            f"- {{domain: 0.0.10.in-addr.arpa, servers: '{sites.HOST6}'}}\n")

    def test_udp_and_tcp(self):
        peer6 = self.adit.status()["host"]["peer6"]
        for server in (PEER4, peer6):
            for way in ("+notcp", "+tcp"):
                with self.subTest(server=server, way=way):
                    self.assertEqual(self.dig(way, "+short", "host.corp.test", "TXT",
                                              server=server), '"a"\n')
                    self.assertEqual(self.dig(way, "+short", "HOST.Corp.Test",
                                              server=server), "10.0.0.5\n")
                    self.assertEqual(self.dig(way, "+short", "-x", "10.0.0.5", server=server),
                                     "host.corp.test.\n")
                    self.assertIn("NXDOMAIN", self.dig(way, "no.corp.test", server=server))

    def test_other_names_are_refused(self):
        for way in ("+notcp", "+tcp"):
            for name in ("example.org", "xcorp.test", "test", "."):
                with self.subTest(way=way, name=name):
                    out = self.dig(way, name)
                    self.assertIn("status: REFUSED", out)
                    self.assertIn("ANSWER: 0", out)
        dns = self.adit.status()["dns"]
        self.assertEqual((dns["queries"], dns["refused"], dns["failures"]), (8, 8, 0))

    def test_the_c_library_asks_the_next_one(self):
        """With the line that is logged as the first one of a resolv.conf."""
        other = self.start("other", self.net.prefix("user") + [sys.executable, "-c", ANYTHING])
        other.wait_log("ready")
        conf = self.write("resolv.conf", f"nameserver {PEER4}\nnameserver 127.0.0.1\n", 0o644)
        for name, address in (("host.corp.test", "10.0.0.5"), ("www.example.org", "192.0.2.80")):
            done = self.net.run("user", "unshare", "--mount", "sh", "-c",
                                f"mount --bind {conf} /etc/resolv.conf && "
                                f"getent ahostsv4 {name}")
            self.assertEqual(done.stdout.split()[:1], [address], done.stderr)
        self.assertNotIn("host.corp", other.log())

    def test_transfers_are_not_served(self):
        for kind in (251, 252):
            self.assertEqual(self.python(TRANSFER, PEER4, str(kind)), "4\n")

    def test_answer_longer_than_a_datagram(self):
        """"Truncated" is passed on; then dig asks by TCP."""
        self.assertIn(";; flags: qr aa tc", self.dig("+ignore", "big.corp.test", "TXT"))
        self.assertEqual(self.dig("+short", "big.corp.test", "TXT").count("x"), 200 * 255)

    def test_pipelined_queries(self):
        self.assertEqual(self.python(PIPELINE, PEER4, "5"), "1 a\n2 a\n3 a\n4 a\n5 a\n")
        # The far side's connections don't stay.
        wait_until(lambda: self.adit.status()["dns"]["connections"] == 0, "no connection")

    def test_many_at_once(self):
        self.assertEqual(self.python(MANY, PEER4, "400"), "400\n")
        dns = self.adit.status()["dns"]
        self.assertEqual((dns["queries"], dns["in_flight"]), (400, 0))
        # By one flow: the agent has one socket for all of them.
        sockets = self.net.run("a", "ss", "-Hun", "dport", "=", ":53").stdout
        self.assertEqual(sockets.count("\n"), 1, sockets)

    def test_idle_connections(self):
        """64 and no more, and not for ever."""
        self.assertEqual(self.python(IDLE, PEER4, "65"), "64\n0\n")
        self.assertEqual(self.adit.status()["dns"]["overload"], 1)

    def test_garbage(self):
        self.assertEqual(self.python(GARBAGE, PEER4), "0002808100000000" + "00000000\n")

    def test_status(self):
        dns = self.adit.status()["dns"]
        self.assertEqual(dns["server"], PEER4)
        self.assertEqual(dns["wired_by"], "none")
        self.assertEqual(dns["domains"][0], {"domain": "corp.test", "virtual_network": None,
                                             "servers": [f"{sites.HOST4}:53"]})
        table = self.adit.command("up", "--status").stdout
        self.assertIn("name server 100.96.0.2 (told to the system by: none)", table)
        self.assertIn("corp.test", table)
        self.assertIn(f"[{sites.HOST6}]:53", table)

    def test_lines_to_add(self):
        log = self.adit.process.log()
        self.assertIn("server=/corp.test/100.96.0.2", log)
        self.assertIn("server=/0.0.10.in-addr.arpa/100.96.0.2", log)
        self.assertIn("nameserver 100.96.0.2", log)
        self.assertIn("isn't installed", log)

    def test_nothing_of_the_host_is_touched(self):
        self.dig("host.corp.test")
        self.assertEqual(self.net.run("user", "ss", "-Hltun").stdout, "")
        self.adit.process.terminate()
        self.assertEqual(resolv_conf(), self.before)


class ServersTest(DnsCase):
    def test_the_first_is_dead(self):
        """Nothing listens there: the far side says so."""
        self.up(f"- {{domain: corp.test, servers: [{sites.QUIET4}, {sites.HOST4}]}}\n")
        for way in ("+notcp", "+tcp"):
            self.assertEqual(self.dig(way, "+short", "host.corp.test", "TXT"), '"a"\n')

    def test_the_first_is_silent(self):
        silent = self.silent(sites.QUIET4)
        self.up(f"- {{domain: corp.test, servers: [{sites.QUIET4}, {sites.HOST4}]}}\n")
        self.assertEqual(self.dig("+short", "host.corp.test", "TXT"), '"a"\n')
        self.assertIn("asked", silent.log())

    def test_all_are_silent(self):
        silent = self.silent(sites.QUIET4)
        up = self.up(f"- {{domain: corp.test, servers: {sites.QUIET4}}}\n")
        self.assertIn("status: SERVFAIL", self.dig("host.corp.test"))
        self.assertIn(silent.log().count("asked"), (1, 2))
        self.assertIn("status: SERVFAIL", self.dig("+tcp", "host.corp.test"))
        self.assertEqual(up.status()["dns"]["failures"], 2)

    def test_no_route_to_the_server(self):
        self.up("- {domain: corp.test, servers: 192.0.2.53}\n")
        self.assertIn("status: SERVFAIL", self.dig("host.corp.test"))
        self.assertIn("status: SERVFAIL", self.dig("+tcp", "host.corp.test"))

    def test_link_that_is_lost(self):
        up = self.up(f"- {{domain: corp.test, servers: {sites.HOST4}}}\n")
        self.assertEqual(self.dig("+short", "host.corp.test", "TXT"), '"a"\n')
        self.lab.edge.kill()
        wait_until(lambda: not up.status()["connected"], "the link to be lost")
        self.assertIn("status: SERVFAIL", self.dig("host.corp.test"))
        self.assertIn("status: SERVFAIL", self.dig("+tcp", "host.corp.test"))


class NetworksTest(DnsCase):
    sites_up = ("a", "b")

    def test_a_domain_in_a_network_of_its_own(self):
        """Both networks have the server's address; the domain says which is meant."""
        self.up(f"- {{domain: corp.test, servers: {sites.HOST4}, virtual-network: staging}}\n"
                f"- {{domain: host.corp.test, servers: {sites.HOST4}}}\n"
                f"- {{domain: 0.0.10.in-addr.arpa, servers: {sites.HOST4}}}\n",
                "--virtual-network", "default")
        for way in ("+notcp", "+tcp"):
            self.assertEqual(self.dig(way, "+short", "host.corp.test", "TXT"), '"a"\n')
            self.assertIn("NXDOMAIN", self.dig(way, "b.corp.test"))
        self.assertEqual(self.net.run("user", "curl", "-s", "-m", "60",
                                      f"http://{sites.HOST4}/").stdout, "a\n")

    def test_the_other_network(self):
        self.up(f"- {{domain: corp.test, servers: {sites.HOST4}, virtual-network: staging}}\n",
                "--virtual-network", "default")
        for way in ("+notcp", "+tcp"):
            self.assertEqual(self.dig(way, "+short", "host.corp.test", "TXT"), '"b"\n')


class WiringTest(DnsCase):
    """With a stand-in for resolvectl that notes how it was called."""

    FORWARDS = (f"- {{domain: Corp.test, servers: {sites.HOST4}}}\n"
                f"- {{domain: lab.test, servers: {sites.HOST4}}}\n")

    def resolvectl(self, status=0, mode=0o755):
        path, self.calls = self.path("resolvectl"), self.path("calls")
        with open(path, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\necho \"$*\" >>{self.calls}\nexit {status}\n")
        os.chmod(path, mode)
        return path

    def called(self):
        if not os.path.exists(self.calls):
            return []
        with open(self.calls, encoding="ascii") as f:
            return f.read().splitlines()

    SET = ["dns adit0 100.96.0.2", "domain adit0 ~corp.test ~lab.test", "default-route adit0 no"]

    def test_told_and_taken_back(self):
        before = resolv_conf()
        for end in ("SIGTERM", "SIGKILL"):
            with self.subTest(end=end):
                up = self.up(self.FORWARDS, resolvectl=self.resolvectl(), name=f"up-{end}")
                wait_until(lambda: up.status()["dns"]["wired_by"] == "resolvectl",
                           "the resolver to be told", show=up.process.log_tail)
                self.assertEqual(self.called(), self.SET)
                self.assertNotIn("nameserver", up.process.log())
                if end == "SIGTERM":
                    up.process.terminate()
                else:
                    # A killed one's device goes at once, and the settings with it.
                    up.process.kill()
                wait_until(lambda: self.called()[3:] in ([], ["revert adit0"]) and
                           "adit0" not in network_state(self.net), "the end")
                if end == "SIGTERM":
                    self.assertEqual(self.called()[3:], ["revert adit0"])
                os.unlink(self.calls)
        self.assertEqual(resolv_conf(), before)

    def test_resolvectl_fails(self):
        up = self.up(self.FORWARDS, resolvectl=self.resolvectl(status=1))
        wait_until(lambda: "nameserver 100.96.0.2" in up.process.log(), "the line to add")
        self.assertEqual(up.status()["dns"]["wired_by"], "none")
        self.assertEqual(self.called(), [self.SET[0], "revert adit0"])
        self.assertEqual(self.dig("+short", "host.corp.test", "TXT"), '"a"\n')

    def test_more_domains_than_the_helper_takes(self):
        up = self.up("".join(f"- {{domain: d{i}.test, servers: {sites.HOST4}}}\n"
                             for i in range(16)) + self.FORWARDS, resolvectl=self.resolvectl())
        wait_until(lambda: "nameserver 100.96.0.2" in up.process.log(), "the line to add")
        self.assertIn("too many", up.process.log())
        self.assertEqual(self.called(), [])
        self.assertEqual(self.dig("+short", "host.corp.test", "TXT"), '"a"\n')

    def test_somebody_elses_program(self):
        config = self.write("client.yml", f"resolvectl: {self.resolvectl(mode=0o777)}\n".encode())
        up = Up(self, self.lab, "--config", config)
        self.assertEqual(up.process.wait(), 78)
        self.assertIn("nobody else's to write", up.process.log())

    def test_without_private_domains(self):
        config = self.write("client.yml", f"resolvectl: {self.resolvectl()}\n".encode())
        up = Up(self, self.lab, "--config", config).wait_up()
        self.assertIsNone(up.status()["dns"])
        self.assertEqual(self.called(), [])


if __name__ == "__main__":
    main()
