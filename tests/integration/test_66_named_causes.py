# SPDX-License-Identifier: Apache-2.0
"""What keeps an agent from its edge is named, in its log and in its status; it goes on trying, and
is Healthy when the cause is gone. What it lacks itself (disk, descriptors) is named, too."""

import itertools
import json
import os
import socket
import subprocess
import threading

from peers import edge as scripted
from support import origin
from support.adit import Agent, Edge, route, routes, write_credentials
from support.case import Case, main
from support.nameserver import REFUSED, SERVFAIL, NameServer
from support.process import free_port
from support.require import need
from support.stack import HOST, Stack, echo_line, serve
from support.tlsca import Authority, server_context
from support.waiting import wait_until

NAME = "edge.test"
SNI = "h2.cftunnel.com"


class CauseCase(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        self.authority = Authority(self.path("ca"))
        self.good = self.edge("good")
        self.credentials = write_credentials(self)

    def edge(self, name, *outcomes, issue=None, authority=None):
        edge = scripted.Edge(authority or self.authority, outcomes or (scripted.success,),
                             name=name, issue=issue)
        self.addCleanup(edge.close)
        return edge

    def agent(self, name, edges, settings="", connections=1):
        return Agent(self, edges, self.authority.ca_file, self.credentials, name=name,
                     settings=f"edge-server-name: {SNI}\nha-connections: {connections}\n" +
                     settings).start()

    def wait_named(self, agent, cause, deadline_s=120):
        """In the status, in the log and as an event; the agent runs on."""
        wait_until(lambda: any(cause in c.get("last_error", "") for c in agent.connections()),
                   f"{cause!r} in the status of {agent.name}", deadline_s,
                   lambda: f"{agent.status()}\n{agent.process.log_tail()}")
        self.assertIn(cause, agent.process.log())
        events = agent.command("events", "--json").stdout.splitlines()
        reasons = [json.loads(line)["fields"].get("reason", "") for line in events]
        self.assertTrue(any(cause in r for r in reasons), reasons)
        self.assertTrue(agent.process.running())

    def wait_inactive(self, agent, cause):
        self.wait_named(agent, cause)
        self.assertEqual((agent.status()[0], agent.state()), (3, "Inactive"))
        text = agent.command("status").stdout
        self.assertIn(cause, text)


class NamesTest(CauseCase):
    def names(self, **options):
        names = NameServer(**options)
        self.addCleanup(names.close)
        return names

    def start_with(self, name, resolver):
        return self.agent(name, f"{NAME}:{self.good.port}", f"resolver: {resolver}\n")

    def test_lookups_that_fail(self):
        """All at once, since one of them takes its time-outs. Each name server then gets well."""
        right = {NAME: ["127.0.0.1"]}
        causes = {
            "absent": ({"names": right}, f"{NAME}: the name server did not answer"),
            "servfail": ({"names": right, "rcode": SERVFAIL}, "each of them failed or refused"),
            "refused": ({"names": right, "rcode": REFUSED}, "each of them failed or refused"),
            "nxdomain": ({}, f"{NAME}: no such name"),
            "empty": ({"names": {NAME: []}}, f"{NAME}: the name exists, but has no record"),
            "blocked": ({"names": {NAME: ["0.0.0.0", "::"]}},
                        f"{NAME}: the name server says 0.0.0.0, which is no edge's address"),
            "liar": ({"names": {NAME: ["127.0.0.66"]}}, "Connection refused"),
            "silent": ({"names": right, "silent": True}, f"{NAME}: the name server did not answer"),
        }
        servers = {name: self.names(**options) for name, (options, _) in causes.items()}
        absent = f"127.0.0.1:{free_port()}"
        agents = {name: self.start_with(name, absent if name == "absent" else server.address)
                  for name, server in servers.items()}
        for name, (_, cause) in causes.items():
            with self.subTest(name):
                self.wait_inactive(agents[name], cause)
        agents.pop("absent")
        for name in agents:
            servers[name].rcode, servers[name].silent, servers[name].names = None, False, right
        for agent in agents.values():
            agent.wait_state("Healthy", 120)

    def test_slow_answer(self):
        """Slow is not failed."""
        names = self.names(names={NAME: ["127.0.0.1"]}, delay_s=2)
        agent = self.start_with("slow", names.address)
        agent.wait_state("Healthy")
        self.assertNotIn("edge addresses not found", agent.process.log())
        self.assertGreater(names.n_queries, 0)


class CertificateTest(CauseCase):
    def test_refused_certificates(self):
        """Each is named, nothing is registered there, and the other edge gets all connections."""
        other = Authority(self.path("other-ca"))
        causes = {
            "expired": ({"issue": {"valid": ("20200101000000Z", "20210101000000Z")}},
                        "its certificate has expired"),
            "early": ({"issue": {"valid": ("20980101000000Z", "20990101000000Z")}},
                      "its certificate isn't valid yet"),
            "other-name": ({"issue": {"dns": ("www.example.com",), "ips": ()}},
                           "its certificate is for other names than the one dialled"),
            "other-ca": ({"authority": other},
                         "its certificate comes from an authority that isn't trusted here"),
        }
        edges = {name: self.edge(name, **options) for name, (options, _) in causes.items()}
        agents = {name: self.agent(name, edge.address) for name, edge in edges.items()}
        both = {name: self.agent(f"both-{name}", [edge.address, self.good.address], connections=2)
                for name, edge in edges.items()}
        for name, (_, cause) in causes.items():
            with self.subTest(name):
                self.wait_inactive(agents[name], cause)
                both[name].wait_state("Healthy")
                self.wait_named(both[name], cause)
                self.assertEqual(edges[name].registered(), {})
                self.assertEqual(agents[name].terminate(), 0)


class Banner:
    """Listens, and says only @text (inside TLS, with a @context) to whoever comes."""

    def __init__(self, case, text=b"", context=None):
        self.text, self.context, self.held = text, context, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        case.addCleanup(self.close)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
                if self.context:
                    sock = self.context.wrap_socket(sock, server_side=True)
                sock.sendall(self.text)
                self.held.append(sock)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for sock in self.held:
            sock.close()


class WrongServerTest(CauseCase):
    def test_what_answers_is_no_edge(self):
        """Each of two connections gets one address: the bad one is given up for the good one."""
        context = server_context(*self.authority.issue("banner"))
        deaf = self.edge("no-control")
        deaf.open_control = False
        causes = {
            "no-tls": (Banner(self, b"SSH-2.0-OpenSSH_9.2\r\n"),
                       "what answers there doesn't speak TLS"),
            "no-http2": (Banner(self, b"SSH-2.0-OpenSSH_9.2\r\n", context),
                         "the peer doesn't speak HTTP/2"),
            "no-settings": (Banner(self, b"", context), "no HTTP/2 SETTINGS from the peer in time"),
            "no-control": (deaf, "the edge opened no control stream"),
            "no-return": (self.edge("no-return", scripted.silence),
                          "the edge did not answer registerConnection in time"),
        }
        agents = {name: self.agent(name, [edge.address, self.good.address], connections=2)
                  for name, (edge, _) in causes.items()}
        for name, (_, cause) in causes.items():
            with self.subTest(name):
                agents[name].wait_state("Healthy", 120)
                self.wait_named(agents[name], cause)


class ShortageTest(Case):
    def test_disk_full(self):
        """The state file can't be written: said once, and all else goes on."""
        need("netns")
        full = self.path("full")
        os.mkdir(full)
        edge = Edge(self).start()
        agent = Agent(self, edge.address, edge.ca_file, edge.create_tunnel())
        agent.head = agent.head.replace(f"state-directory: {agent.folder}\n",
                                        f"state-directory: {full}\n")
        agent.config = agent.configure()
        agent.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                        'mount -t tmpfs -o size=16k tmpfs "$0" && '
                        '! dd if=/dev/zero of="$0/fill" bs=4096 2>/dev/null && exec "$@"', full]
        agent.start()
        agent.wait_state("Healthy")
        edge.kill()
        agent.wait_state("Down")
        edge.start()
        agent.wait_state("Healthy")
        said = [line for line in agent.process.log().splitlines() if "state file" in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn("No space left on device", said[0])
        self.assertIn(full, said[0])

    def test_disk_of_the_edge_full(self):
        """What can't be written is refused and named; what was there goes on."""
        need("netns")
        server = serve(self, origin.echo)
        stack = Stack(self, server.port, start=False)
        edge = stack.edge
        edge.process.terminate()
        edge.socket = self.path("edge.sock")
        with open(edge.config, encoding="utf-8") as file:
            text = file.read()
        self.write("edge.yml", text.replace(f"control-socket: {edge.folder}/edge.sock",
                                            f"control-socket: {edge.socket}"))
        edge.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
                       'cp -a "$0" "$0.copy"; mount -t tmpfs -o size=16m,mode=700 tmpfs "$0"; '
                       'cp -a "$0.copy/." "$0"; exec "$@"', edge.folder]
        edge.start()
        stack.agent.start().wait_state("Healthy")
        stack.agent.wait_accepted()
        self.inside(edge, f"dd if=/dev/zero of={edge.folder}/fill bs=4096 2>/dev/null || true")

        def refused():
            name = f"t{next(numbers)}"
            done = edge.try_admin("tunnel", "create", name, "--credentials-file",
                                  self.path(f"{name}.json"))
            return done.returncode != 0 and done.stderr
        numbers = itertools.count(2)
        said = wait_until(refused, "a refusal")
        self.assertRegex(said, "disk is full|No space left on device")
        self.assertEqual(stack.connect(b"hello").stdout, b"hello")
        self.assertEqual(stack.agent.state(), "Healthy")
        self.inside(edge, f"rm {edge.folder}/fill")
        edge.create_tunnel("late")
        self.assertIn("late", [t["name"] for t in edge.json("tunnel", "list")["tunnels"]])

    def inside(self, edge, script):
        subprocess.run(["nsenter", "--mount", "--target", str(edge.process.pid), "sh", "-c",
                        script], check=True)

    def test_descriptors_used_up(self):
        """New streams are refused with a reason, those that run go on, and so does the agent."""
        server = serve(self, origin.echo)
        stack = Stack(self, server.port, start=False)
        stack.agent.prefix = ["prlimit", "--nofile=40"]
        stack.agent.start().wait_state("Healthy")
        stack.agent.wait_accepted()
        held = stack.popen()
        echo_line(held, "before")
        client = stack.scripted_client()
        streams = []

        def refused():
            stream = client.connect(f"{HOST}:22")
            client.wait(lambda: stream.headers or stream.closed, "an answer")
            streams.append(stream)
            return stream.headers.get(":status") != "200" and stream
        no = wait_until(refused, "a refusal")
        self.assertEqual((no.headers.get(":status"), no.headers.get("adit-error")),
                         ("503", "limit"), no.headers)
        echo_line(held, "meanwhile")
        self.assertEqual(stack.agent.state(), "Healthy")
        self.assertEqual(stack.agent.reload().returncode, 0)
        self.assertIn("new streams are refused: no descriptor is left for them",
                      stack.agent.process.log())
        for stream in streams[:-1]:
            client.reset(stream)
        wait_until(lambda: stack.connect(b"hello").stdout == b"hello", "streams to work again")
        echo_line(held, "after")

    def test_redial_without_descriptors(self):
        """All that streams may have is used; a connection that is lost is dialled anew."""
        need("openssl")
        server = serve(self, origin.echo)
        authority = Authority(self.path("ca"))
        later = scripted.refuse("later", True, 3 * 10**9)
        edges = [scripted.Edge(authority, (scripted.success, later, scripted.success), name="busy"),
                 scripted.Edge(authority, name="other")]
        for edge in edges:
            self.addCleanup(edge.close)
        Agent(self, [e.address for e in edges], authority.ca_file, write_credentials(self),
              routes(route(f"{HOST}/32", via=f"127.0.0.1:{server.port}")),
              settings=f"edge-server-name: {SNI}\nha-connections: 2\n",
              prefix=["prlimit", "--nofile=40"]).start()
        busy, = edges[0].wait_registered(1).values()
        edges[1].wait_registered(1)
        streams = []

        def refused():
            streams.append(busy.open_tcp(f"{HOST}:22"))
            return busy.wait_answer(streams[-1])[":status"] != "200"
        wait_until(refused, "a refusal")
        self.assertGreater(len(streams), 4)
        # What the lost connection leaves is a stream's, too, before it is dialled for good.
        edges[1].close()
        wait_until(lambda: len(edges[0].connections) > 1 and edges[0].connections[1].closed,
                   "the first new try")
        wait_until(refused, "another refusal")
        edges[0].wait_registered(2)
        self.assertFalse(busy.closed)
        busy.send(streams[0], b"after")
        busy.wait(lambda: bytes(streams[0].data) == b"after", "the echo")

    def test_descriptors_of_the_edge_used_up(self):
        """Newcomers wait in the kernel's queue; its admin commands and what runs go on."""
        server = serve(self, origin.echo)
        stack = Stack(self, server.port, start=False)
        stack.edge.process.terminate()
        stack.edge.prefix = ["prlimit", "--nofile=60"]
        stack.edge.start()
        stack.agent.start().wait_state("Healthy")
        stack.agent.wait_accepted()
        held = stack.popen()
        echo_line(held, "before")
        silent = [socket.create_connection(("127.0.0.1", stack.edge.port)) for _ in range(80)]
        self.addCleanup(lambda: [s.close() for s in silent])
        wait_until(lambda: "can't accept: new connections wait" in stack.edge.process.log(),
                   "the edge to say so")
        self.assertIn("Too many open files", stack.edge.process.log())
        self.assertEqual(len(stack.edge.agents()), 4)
        echo_line(held, "meanwhile")
        for sock in silent:
            sock.close()
        wait_until(lambda: stack.connect(b"hello").stdout == b"hello", "newcomers to be served")
        echo_line(held, "after")
        self.assertEqual(stack.agent.state(), "Healthy")
        # Once a second at most, however long it lasts: it doesn't spin.
        n_said = stack.edge.process.log().count("can't accept")
        self.assertLess(n_said, 100)


if __name__ == "__main__":
    main()
