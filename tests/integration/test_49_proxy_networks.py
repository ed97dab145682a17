# SPDX-License-Identifier: Apache-2.0
"""`adit proxy` and `adit connect --virtual-network` through a real edge and two agents that
serve the same address in two virtual networks: curl, ssh, and UDP."""

import hashlib
import shlex
import socket
import subprocess

from peers.proxy_client import NO_AUTH, Association, Wire, request
from support import adit
from support.case import Case, main
from support.nameserver import NameServer
from support.origin import Origin, echo, pattern
from support.process import free_port
from support.require import need
from support.sshd import Sshd
from support.stack import HOST
from support.waiting import DEADLINE_S, wait_until

MIB = 1 << 20
MANY_REFUSALS = 400  # twice what the edge lets a client reset at once
NOT_ALLOWED = 2


def page(text):
    """An HTTP server's only page."""
    def behaviour(sock):
        got = b""
        while b"\r\n\r\n" not in got:
            got += sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" %
                     (len(text), text.encode()))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
    return behaviour


class TwoNetworks(Case):
    """The same address in two virtual networks, each behind an agent of its own."""

    def setUp(self):
        super().setUp()
        self.edge = adit.Edge(self).start()
        self.edge.admin("vnet", "add", "lab")
        self.client = self.edge.create_client()
        self.edge.admin("client", "grant", "add", "alice", "10.116.0.0/16",
                        "--virtual-network", "lab")

    def site(self, name, ports, network=None):
        """An agent for HOST; @ports: one after the other, HOST's addresses counted up."""
        tunnel = self.edge.create_tunnel(name, prefixes=())
        self.edge.admin("grant", "add", name, "10.116.0.0/16",
                        *(("--virtual-network", network) if network else ()))
        entries = [adit.route(f"10.116.0.{3 + i}/32", via=f"127.0.0.1:{port}",
                              virtual_network=network) for i, port in enumerate(ports)]
        settings = f"virtual-networks:\n  - name: {network}\n" if network else ""
        agent = adit.Agent(self, self.edge.address, self.edge.ca_file, tunnel,
                           adit.routes(*entries), name=f"agent-{name}", settings=settings)
        agent.start().wait_state("Healthy")
        agent.wait_accepted()

    def udp_sites(self):
        """Echoes that put their network's name in front."""
        for name, network in (("home", None), ("away", "lab")):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(sock.close)
            sock.bind(("127.0.0.1", 0))
            self.thread(self.echo_datagrams, sock, name.encode())
            self.site(name, [sock.getsockname()[1]] * 2, network)

    @staticmethod
    def echo_datagrams(sock, name):
        while True:
            try:
                data, peer = sock.recvfrom(65536)
                sock.sendto(name + b" " + data, peer)
            except OSError:
                return

    def pages(self):
        for name, network in (("home", None), ("away", "lab")):
            server = Origin(page(name))
            self.addCleanup(server.close)
            self.site(name, [server.port], network)

    def proxy(self, *argv):
        port = free_port()
        process = self.start("proxy", [adit.binary("adit"), "proxy", "--credentials", self.client,
                                       "--listen", f"127.0.0.1:{port}", *argv])
        process.wait_log("listening")
        return f"127.0.0.1:{port}"

    def curl(self, *argv, url=f"http://{HOST}/"):
        done = adit.run(["curl", "--silent", "--show-error", "--noproxy", "", "--max-time", "60",
                         *argv, url])
        return done.returncode, done.stdout, done.stderr


class Streams(TwoNetworks):
    def test_refusals_dont_cost_the_link(self):
        """An edge counts resets, and cuts off who sends too many: refusals are none."""
        server = Origin(echo)
        self.addCleanup(server.close)
        self.site("home", [server.port])
        port = int(self.proxy().rpartition(":")[2])
        live = Wire(self, port).connect(host=HOST)
        for _ in range(MANY_REFUSALS):
            wire = Wire(self, port)
            wire.send(bytes([5, 1, NO_AUTH]) + request("192.0.2.1")).expect(bytes([5, NO_AUTH]))
            self.assertEqual(wire.reply()[0], NOT_ALLOWED)
            wire.sock.close()
        live.send(b"still there").expect(b"still there")

    def test_connect(self):
        self.pages()
        get = b"GET / HTTP/1.0\r\n\r\n"
        for extra, text in (((), b"home"), (("--virtual-network", "lab"), b"away"),
                            (("--virtual-network", "default"), b"home")):
            with self.subTest(extra=extra):
                done = subprocess.run(adit.connect_argv(HOST, 80, self.client, *extra), input=get,
                                      stdout=subprocess.PIPE, timeout=DEADLINE_S)
                self.assertEqual((done.returncode, done.stdout[-4:]), (0, text))
        done = subprocess.run(adit.connect_argv(HOST, 80, self.client, "--virtual-network", "no"),
                              input=get, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 11)

    def test_curl(self):
        self.pages()
        names = NameServer({"web.test": [HOST]})
        self.addCleanup(names.close)
        at = self.proxy("--resolver", names.address)
        for argv, url in (
                (("--socks5",), None), (("--socks5-hostname",), None),
                (("--proxytunnel", "--proxy"), None),
                (("--socks5-hostname",), "http://web.test/"),
                (("--proxytunnel", "--proxy"), "http://web.test/")):
            for user, text in ((None, "home"), ("default", "home"), ("lab", "away")):
                with self.subTest(argv=argv, url=url, user=user):
                    extra = ("--proxy-user", f"{user}:x") if user else ()
                    code, out, err = self.curl(*extra, *argv, at, url=url or f"http://{HOST}/")
                    self.assertEqual((code, out, err), (0, text, ""))

    def test_curl_is_refused(self):
        self.pages()
        at = self.proxy()
        code, out, _ = self.curl("--proxy", at)
        self.assertEqual(code, 0)
        self.assertIn("proxy for CONNECT only", out)
        code, _, err = self.curl("--proxytunnel", "--proxy", at, "--proxy-user", "nowhere:x")
        self.assertEqual(code, 56, err)
        self.assertIn("403", err)
        code, _, err = self.curl("--socks5", at, url="http://10.117.0.1/")
        self.assertEqual(code, 97, err)
        self.assertRegex(err, r"\([23]\)")

    def test_ssh(self):
        need("sshd", "nc")
        sshd = Sshd(self)
        self.site("t1", [sshd.port])
        at = self.proxy()
        for version in ("5", "connect"):
            with self.subTest(version=version):
                options = sshd.ssh_options(shlex.join(["nc", "-X", version, "-x", at, "%h", "%p"]))
                data = pattern(10 * MIB)
                done = subprocess.run(["ssh", *options, f"{sshd.user}@{HOST}", "cat; exit 7"],
                                      input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      timeout=240)
                self.assertEqual(done.returncode, 7, done.stderr)
                self.assertEqual(hashlib.sha256(done.stdout).digest(),
                                 hashlib.sha256(data).digest())


class Datagrams(TwoNetworks):
    def setUp(self):
        super().setUp()
        self.udp_sites()

    def test_two_networks(self):
        at = self.proxy()
        for user, name in ((None, b"home"), ("lab", b"away")):
            with self.subTest(user=user):
                a = Association(self, at, user)
                self.assertEqual(a.ask(b"hello"), (HOST, 53, name + b" hello"))
                self.assertEqual(a.ask(b"there", "10.116.0.4", port=5353),
                                 ("10.116.0.4", 5353, name + b" there"))
                big = pattern(20_000)
                self.assertEqual(a.ask(big)[2], name + b" " + big)
                self.assertEqual(a.ask(b"")[2], name + b" ")

    def test_names(self):
        names = NameServer({"ns.test": [HOST]})
        self.addCleanup(names.close)
        a = Association(self, self.proxy("--resolver", names.address))
        self.assertEqual(a.ask(b"hello", "ns.test"), (HOST, 53, b"home hello"))
        self.assertEqual(a.ask(b"again", "ns.test"), (HOST, 53, b"home again"))
        a.send(b"x", "nowhere.test")
        self.processes[-1].wait_log("no such name")

    def test_what_is_dropped(self):
        a = Association(self, self.proxy())
        stranger = a.socket(self)
        self.assertEqual(a.ask(b"mine")[2], b"home mine")
        a.send(b"fragment", fragment=1)
        a.send(b"zero", port=0)
        a.sock.sendto(b"short", tuple(a.relay))
        a.send(b"stolen", sock=stranger)
        # All of them went before this one.
        self.assertEqual(a.ask(b"after")[2], b"home after")
        self.assertIsNone(a.receive())
        self.assertIsNone(a.receive(stranger))

    def test_named_port(self):
        at = self.proxy()
        port = free_port()
        a = Association(self, at, port=port)
        own = a.socket(self, port)
        a.send(b"from elsewhere")
        self.assertEqual(a.ask(b"named", sock=own)[2], b"home named")
        self.assertIsNone(a.receive())

    def test_refused(self):
        a = Association(self, self.proxy())
        self.assertEqual(a.ask(b"up")[2], b"home up")
        a.send(b"x", "10.117.0.1")
        self.processes[-1].wait_log("datagrams refused")
        self.assertEqual(a.ask(b"still")[2], b"home still")

    def test_many_destinations(self):
        """More than there may be flows: the oldest make room."""
        a = Association(self, self.proxy())
        self.assertEqual(a.ask(b"up")[2], b"home up")
        for port in range(1000, 1300):
            self.assertEqual(a.ask(b"%d" % port, port=port), (HOST, port, b"home %d" % port))
        # Streams as the edge counts them.
        wait_until(lambda: self.edge_streams() <= 256, "the oldest flows to end",
                   show=lambda: str(self.edge.connections()))
        self.assertEqual(a.ask(b"again")[2], b"home again")

    def edge_streams(self):
        return sum(c["streams"] for c in self.edge.connections() if c["kind"] == "client")

    def test_ends_with_its_connection(self):
        a = Association(self, self.proxy())
        self.assertEqual(a.ask(b"up")[2], b"home up")
        self.assertGreater(self.edge_streams(), 0)
        a.wire.sock.close()
        wait_until(lambda: self.edge_streams() == 0, "the flows' end")
        # Its port is free again.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(tuple(a.relay))


if __name__ == "__main__":
    main()
