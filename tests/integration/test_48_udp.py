# SPDX-License-Identifier: Apache-2.0
"""UDP and ICMP echo through a real edge and a real agent, with an independent HTTP/2 client
and an independent reading of RFC 9297 and RFC 9298; stock agents get none of it."""

import os
import signal
import socket
import struct
import subprocess
import sys

from peers import agent as scripted
from peers import edge as scripted_edge
from peers.client import Client, load_token
from peers.datagrams import (ICMP_ERROR, Flow, UdpEcho, capsule, datagram, echo_path, udp_path,
                             varint)
from support import adit
from support.case import Case, main
from support.process import free_port
from support.require import need
from support.origin import echo
from support.stack import HOST, Stack, serve
from support.tlsca import Authority
from support.waiting import wait_until

PROTOCOL_ERROR = 1


class UdpCase(Case):
    def setUp(self):
        super().setUp()
        need("h2", "openssl")

    def stack(self, port, **options):
        stack = Stack(self, port, **options)
        self.client = stack.scripted_client()
        return stack

    def udp(self, ip=HOST, port=4444, client=None, **options):
        return Flow(client or self.client, "connect-udp", udp_path(ip, port), **options)

    def open_udp(self, *args, **options):
        flow = self.udp(*args, **options)
        self.assertEqual(flow.answer(), ("200", None))
        self.assertEqual(flow.stream.headers.get("capsule-protocol"), "?1")
        return flow


class TestUdp(UdpCase):
    def test_datagrams_come_back_as_they_went(self):
        target = UdpEcho(self)
        stack = self.stack(target.port)
        flow = self.open_udp()
        for payload in (b"hello", b"", b"x" * 1400, b"\0" * 9000):
            self.assertEqual(flow.ask(payload), payload)
        self.client.end(flow.stream)
        self.client.wait(lambda: flow.stream.closed, "the end of the stream")
        self.assertEqual(flow.stream.log[-1], "end")
        stack.edge.process.wait_log("stream ended")
        line = [x for x in stack.edge.process.log().splitlines() if "stream ended" in x][0]
        self.assertIn("udp", line)

    def test_largest_datagram(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flow = self.open_udp()
        payload = os.urandom(65507)
        self.assertEqual(flow.ask(payload), payload)
        # What UDP over IPv4 can't carry is dropped, and the flow goes on.
        flow.send(b"y" * 65508)
        flow.send(b"z" * 65527)
        self.assertEqual(flow.ask(b"after"), b"after")
        self.assertEqual(len(target.received), 2)

    def test_own_socket_per_flow(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flows = [self.open_udp() for _ in range(20)]
        for i, flow in enumerate(flows):
            flow.send(f"flow {i}".encode())
        for i, flow in enumerate(flows):
            self.assertEqual(flow.wait_datagrams(1)[0], f"flow {i}".encode())
        self.assertEqual(len(target.peers), 20)

    def test_datagrams_before_the_answer(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flow = self.udp()
        flow.send(b"early")
        self.assertEqual(flow.wait_datagrams(1)[0], b"early")
        self.assertEqual(flow.answer(), ("200", None))

    def test_cut_at_every_octet(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flow = self.open_udp()
        for piece in (1, 2, 3):
            data = datagram(b"abc") + capsule(0x1234, b"skip") + datagram(b"defghij")
            n = len(flow.datagrams)
            self.client.send(flow.stream, data, piece=piece)
            self.assertEqual(flow.wait_datagrams(n + 2)[n:], [b"abc", b"defghij"])

    def test_unknown_capsules_and_contexts_are_skipped(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flow = self.open_udp()
        flow.send_bytes(capsule(0x3FFFFFFFFFFFFFFF, b"") + capsule(77, b"x" * 200000) +
                        datagram(b"other context", context=2) +
                        capsule(ICMP_ERROR, b"\3\3") + datagram(b"last"))
        self.assertEqual(flow.wait_datagrams(1), [b"last"])
        self.assertEqual(target.received, [b"last"])

    def test_garbage_costs_its_own_stream_only(self):
        target = UdpEcho(self)
        self.stack(target.port)
        good = self.open_udp()
        for bad in (capsule(0, b""), varint(0) + varint(65527 + 9), datagram(b"x" * 65528),
                    capsule(ICMP_ERROR, b"\3"), varint(0) + varint((1 << 62) - 1)):
            flow = self.open_udp()
            flow.send_bytes(bad)
            self.client.wait(lambda: flow.stream.closed, f"the reset after {bad[:12]!r}")
            self.assertIsNotNone(flow.stream.reset, bad[:12])
            self.assertEqual(good.ask(b"still here"), b"still here")

    def test_end_within_a_capsule(self):
        target = UdpEcho(self)
        self.stack(target.port)
        flow = self.open_udp()
        self.client.send(flow.stream, datagram(b"whole")[:-2], end=True)
        self.client.wait(lambda: flow.stream.closed, "the end of the stream")
        self.assertIsNotNone(flow.stream.reset)
        self.assertEqual(target.received, [])

    def test_refused_port_is_an_icmp_error_and_the_flow_goes_on(self):
        port = free_port()
        self.stack(port)
        flow = self.open_udp()
        flow.send(b"anybody?")
        flow.wait(lambda: flow.icmp_errors, "the ICMP error")
        self.assertEqual(flow.icmp_errors[0], (3, 3))
        self.assertFalse(flow.stream.closed)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", port))
            s.settimeout(20)
            # The error of the last one may cost a datagram, never two.
            flow.send(b"now?")
            flow.send(b"now!")
            self.assertIn(s.recvfrom(100)[0], (b"now?", b"now!"))

    def test_ipv6(self):
        target = UdpEcho(self, host="::1")
        edge = adit.Edge(self).start()
        tunnel = edge.create_tunnel(prefixes=("fd10::/64",))
        credentials = edge.create_client(prefixes=("fd10::/64",))
        route = adit.route("fd10::3/128", via=f"'[::1]:{target.port}'")
        adit_agent = adit.Agent(self, edge.address, edge.ca_file, tunnel,
                                adit.routes(route)).start()
        adit_agent.wait_state("Healthy")
        adit_agent.wait_accepted()
        client = Client(("127.0.0.1", edge.port), edge.ca_file, load_token(credentials)).start()
        self.addCleanup(client.close)
        flow = self.open_udp("fd10::3", 53, client=client)
        self.assertEqual(flow.ask(b"six"), b"six")

    def test_tcp_and_udp_side_by_side(self):
        target = UdpEcho(self)
        stack = self.stack(target.port)
        tcp = serve(self, echo)
        stack.agent.configure(adit.routes(
            *stack.routes, adit.route("10.116.0.4/32", via=f"127.0.0.1:{tcp.port}")))
        stack.agent.reload()
        stack.agent.wait_accepted()
        flow = self.open_udp()
        stream = self.client.connect("10.116.0.4:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.client.send(stream, b"tcp")
        self.client.wait(lambda: stream.data == b"tcp", "the TCP echo")
        self.assertEqual(flow.ask(b"udp"), b"udp")


class TestRefusals(UdpCase):
    def refusal(self, protocol, path, **options):
        flow = Flow(self.client, protocol, path, **options)
        answer = flow.answer()
        self.client.wait(lambda: flow.stream.closed, "the end of a refused stream")
        return answer

    def test_destinations(self):
        target = UdpEcho(self)
        stack = self.stack(target.port)
        stack.edge.admin("client", "grant", "add", "alice", "10.117.0.0/16")
        for path in (udp_path(HOST, 0), udp_path("localhost", 53), udp_path(HOST, 53)[:-1],
                     udp_path(HOST, 53) + "?x", "/", f"/.well-known/masque/udp/{HOST}/53/53/",
                     "/.well-known/masque/udp/fd00::1/53/"):
            self.assertEqual(self.refusal("connect-udp", path), ("400", "bad-destination"), path)
        self.assertEqual(self.refusal("connect-udp", udp_path("10.118.0.1", 53)),
                         ("403", "not-granted"))
        self.assertEqual(self.refusal("connect-udp", udp_path("10.117.0.1", 53)),
                         ("404", "no-route"))
        self.assertEqual(self.refusal("adit-echo", echo_path("10.117.0.1")), ("404", "no-route"))
        self.assertEqual(self.refusal("websocket", "/")[1], "unsupported")
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 53), token=""),
                         ("407", "unauthenticated"))
        self.assertEqual(target.received, [])

    def test_ports_of_the_route(self):
        target = UdpEcho(self)
        stack = self.stack(target.port)
        route = adit.route(f"{HOST}/32", via=f"127.0.0.1:{target.port}", ports="53,4000-4100")
        stack.agent.configure(adit.routes(route))
        stack.agent.reload()
        stack.agent.wait_accepted()
        self.assertEqual(self.open_udp(port=4100).ask(b"x"), b"x")
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 4101)), ("403", "forbidden"))
        self.assertEqual(self.refusal("adit-echo", echo_path(HOST)), ("403", "forbidden"))

    def test_limit_of_flows(self):
        target = UdpEcho(self)
        self.stack(target.port, settings="max-udp-flows: 2\n")
        flows = [self.open_udp(), self.open_udp()]
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 53)), ("503", "limit"))
        self.client.end(flows[0].stream)
        self.client.wait(lambda: flows[0].stream.closed, "the first flow's end")
        self.assertEqual(self.open_udp().ask(b"room again"), b"room again")

    def test_limit_of_all_flows(self):
        target = UdpEcho(self)
        self.stack(target.port, settings="max-active-flows: 1\n")
        self.open_udp()
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 53)), ("503", "limit"))
        stream = self.client.connect(f"{HOST}:22")
        self.assertEqual(self.client.answer(stream), ("503", "limit"))

    def test_removed_grant_cuts(self):
        target = UdpEcho(self)
        stack = self.stack(target.port)
        flow = self.open_udp()
        self.assertEqual(flow.ask(b"x"), b"x")
        stack.edge.admin("client", "grant", "delete", "alice", "10.116.0.0/16")
        self.client.wait(lambda: flow.stream.closed, "the cut")
        self.assertIsNotNone(flow.stream.reset)

    def scripted_connector(self, *features):
        """The only connector of an operator's route; says @features besides stock's."""
        edge = adit.Edge(self).start()
        tunnel = edge.create_tunnel()
        credentials = edge.create_client()
        registration = scripted.load_registration(tunnel, 0, None)
        registration.features += features
        stock = scripted.Agent(("127.0.0.1", edge.port), edge.ca_file, registration,
                               captured=not features)
        self.addCleanup(stock.close)
        self.assertIsNotNone(stock.start().wait_registered(), stock.refused)
        edge.admin("route", "add", "10.116.0.0/16", "t1")
        self.client = Client(("127.0.0.1", edge.port), edge.ca_file,
                             load_token(credentials)).start()
        self.addCleanup(self.client.close)
        return edge, stock, tunnel

    def test_stock_connector(self):
        _, stock, _ = self.scripted_connector()
        n = len(stock.streams)
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 53)), ("502", "unsupported"))
        self.assertEqual(self.refusal("adit-echo", echo_path(HOST)), ("502", "unsupported"))
        self.assertEqual(len(stock.streams), n)


    def test_stock_beside_ours(self):
        edge, stock, tunnel = self.scripted_connector()
        target = UdpEcho(self)
        route = adit.route(f"{HOST}/32", via=f"127.0.0.1:{target.port}")
        ours = adit.Agent(self, edge.address, edge.ca_file, tunnel, adit.routes(route)).start()
        ours.wait_state("Healthy")
        ours.wait_accepted()
        n = len(stock.streams)
        flows = [self.open_udp() for _ in range(6)]
        self.assertEqual([f.ask(b"x") for f in flows], [b"x"] * 6)
        self.assertEqual(len(stock.streams), n)

    def test_second_settings_may_be_on_their_way(self):
        _, stock, _ = self.scripted_connector("adit/1")
        n = len(stock.streams)
        self.assertEqual(self.refusal("connect-udp", udp_path(HOST, 53)),
                         ("503", "connector-down"))
        self.assertEqual(len(stock.streams), n)


class TestAgent(Case):
    """Our agent with a scripted edge that announces itself as adit's."""

    def setUp(self):
        super().setUp()
        need("h2", "openssl")
        self.authority = Authority(self.path("ca"))

    def agent(self, *outcomes, routes=""):
        self.edge = scripted_edge.Edge(self.authority, outcomes, announce_adit=True)
        self.addCleanup(self.edge.close)
        return adit.Agent(self, self.edge.address, self.authority.ca_file,
                          adit.write_credentials(self), routes,
                          settings="edge-server-name: h2.cftunnel.com\n").start()

    def test_allows_it_once_it_is_registered(self):
        self.agent(scripted_edge.success)
        for conn in self.edge.wait_registered(4).values():
            conn.wait(lambda: conn.peer_settings.get(8) == 1, "the second SETTINGS")

    def test_allows_nothing_before(self):
        self.agent(scripted_edge.silence)
        wait_until(lambda: any(c.registration for c in self.edge.connections), "a registration")
        conn = [c for c in self.edge.connections if c.registration][0]
        conn.ping(b"8 octets")
        conn.wait(lambda: conn.ping_acks or conn.closed, "the answer to the PING")
        self.assertTrue(conn.ping_acks)
        self.assertNotIn(8, conn.peer_settings)

    def test_decides_for_itself(self):
        target = UdpEcho(self)
        agent = self.agent(scripted_edge.success, routes=adit.routes(
            adit.route(f"{HOST}/32", via=f"127.0.0.1:{target.port}"), adit.route("10.116.1.0/24")))
        conn = self.edge.wait_registered(4)[0]
        refused = {
            ("connect-udp", udp_path("10.116.2.1", 53)): "forbidden",
            ("connect-udp", udp_path("127.0.0.1", target.port)): "forbidden",
            ("adit-echo", echo_path("127.0.0.1")): "forbidden",
            ("connect-udp", udp_path("example.com", 53)): "bad-destination",
            ("connect-udp", echo_path(HOST)): "bad-destination",
            ("connect-ip", "/.well-known/masque/ip/*/*/"): "unsupported",
        }
        for (protocol, path), error in refused.items():
            flow = Flow(conn, protocol, path, token="")
            answer = conn.wait_answer(flow.stream)
            self.assertEqual((answer[":status"], answer["adit-error"]), ("502", error), path)
        flow = Flow(conn, "connect-udp", udp_path(HOST, 53), token="")
        answer = conn.wait_answer(flow.stream)
        self.assertEqual((answer[":status"], answer["capsule-protocol"]), ("200", "?1"))
        self.assertEqual(flow.ask(b"x"), b"x")
        self.edge.on_unregister = scripted_edge.answer_unregister
        # A stopping agent takes no new ones; this one goes on.
        agent.process.signal(signal.SIGTERM)
        agent.process.wait_log("shutting down")
        other = Flow(conn, "connect-udp", udp_path(HOST, 53), token="")
        self.assertEqual(conn.wait_answer(other.stream)["adit-error"], "draining")
        self.assertEqual(flow.ask(b"y"), b"y")


# Runs in a network namespace of its own: sets ping_group_range. Root's capabilities don't help the
# agent, which gives them up.
IN_NAMESPACE = """
import os, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as f:
    f.write(sys.argv[1])
os.execvp(sys.executable, [sys.executable, sys.argv[2], "--inside", *sys.argv[3:]])
"""


class TestEcho(Case):
    """Each case runs again inside a namespace, where pinging 127.0.0.1 and ::1 bothers nobody."""

    def inside(self, case, group_range):
        need("h2", "openssl", "netns", "root")
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-c", IN_NAMESPACE, group_range,
             os.path.abspath(__file__), f"EchoInside.{case}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=250, check=False,
            encoding="utf-8")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("OK", done.stdout)
        self.assertNotIn("skipped", done.stdout)

    def test_ping_socket(self):
        self.inside("ping", "0 0")

    def test_unavailable(self):
        self.inside("unavailable", "1 0")


def echo_packet(sequence, payload):
    return struct.pack("!H", sequence) + payload


class EchoInside(UdpCase):
    def stack(self, port=None, **options):
        edge = adit.Edge(self).start()
        tunnel = edge.create_tunnel(prefixes=("10.116.0.0/16", "fd10::/64"))
        credentials = edge.create_client(prefixes=("10.116.0.0/16", "fd10::/64"))
        routes = adit.routes(adit.route(f"{HOST}/32", via="127.0.0.1:7"),
                             adit.route("fd10::3/128", via="'[::1]:7'"),
                             adit.route("10.116.1.0/24"))
        self.agent = adit.Agent(self, edge.address, edge.ca_file, tunnel, routes).start()
        self.agent.wait_state("Healthy")
        self.agent.wait_accepted()
        self.client = Client(("127.0.0.1", edge.port), edge.ca_file,
                             load_token(credentials)).start()
        self.addCleanup(self.client.close)

    def echo(self, ip):
        flow = Flow(self.client, "adit-echo", echo_path(ip))
        self.assertEqual(flow.answer(), ("200", None))
        return flow

    def ping(self):
        self.stack()
        self.assertEqual(self.agent.status()[1]["ping"], "ping-socket")
        self.assertNotIn("ping_group_range", self.agent.command("status").stdout)
        for ip in (HOST, "fd10::3"):
            # Beyond 16 KiB, and only where the device's MTU lets that pass in one piece, kernels
            # get the checksum of an IPv4 ping socket wrong now and then (ping_getfrag() adds up
            # pieces of odd length as if they were even).
            large = 15000 if ip == HOST else 60000
            flow, other = self.echo(ip), self.echo(ip)
            for sequence, payload in ((1, b""), (2, b"payload"), (65535, os.urandom(1400)),
                                      (3, os.urandom(large))):
                sent = echo_packet(sequence, payload)
                self.assertEqual(flow.ask(sent), sent, f"{ip} {sequence}")
            self.assertEqual(other.ask(echo_packet(9, b"mine")), echo_packet(9, b"mine"))
            self.assertEqual(len(flow.datagrams), 4)
            # No sequence number, no echo; the flow goes on.
            flow.send(b"x")
            self.assertEqual(flow.ask(echo_packet(5, b"y")), echo_packet(5, b"y"))
        # A network without neighbours: the host itself says unreachable.
        for argv in ("link add near type veth peer name far", "link set far up",
                     "addr add 10.116.1.1/24 dev near", "link set near up",
                     "route add unreachable 10.116.1.9/32"):
            subprocess.run(["ip", *argv.split()], check=True)
        flow, other = self.echo("10.116.1.7"), self.echo("10.116.1.7")
        flow.send(echo_packet(1, b"anybody?"))
        flow.wait(lambda: flow.icmp_errors, "the ICMP error")
        self.assertEqual(flow.icmp_errors[0], (3, 1))
        self.assertEqual((flow.stream.closed, other.icmp_errors), (False, []))
        flow = Flow(self.client, "adit-echo", echo_path("10.116.1.9"))
        self.assertEqual(flow.answer(), ("502", "unreachable"))
        # The way is lost under an open flow: no router says so, but the socket does.
        flow = self.open_udp("10.116.1.8", 53)
        subprocess.run(["ip", "route", "add", "unreachable", "10.116.1.8/32"], check=True)
        flow.send(b"anybody?")
        flow.wait(lambda: flow.icmp_errors, "the ICMP error")
        self.assertEqual(flow.icmp_errors[0], (3, 1))

    def unavailable(self):
        self.stack()
        self.assertEqual(self.agent.status()[1]["ping"], "unavailable")
        self.assertIn("ping_group_range", self.agent.command("status").stdout)
        for ip in (HOST, "fd10::3"):
            flow = Flow(self.client, "adit-echo", echo_path(ip))
            self.assertEqual(flow.answer(), ("403", "ping-unavailable"))
        # The administrator may allow it at any time.
        with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as f:
            f.write("0 0")
        wait_until(lambda: self.agent.status()[1]["ping"] == "ping-socket", "the new range")
        self.assertEqual(self.echo(HOST).ask(echo_packet(1, b"now")), echo_packet(1, b"now"))


if __name__ == "__main__":
    if "--inside" in sys.argv:
        sys.argv.remove("--inside")
    main()
