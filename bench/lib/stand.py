# SPDX-License-Identifier: Apache-2.0
"""What is measured: an edge, connectors behind it and users in front of it, in one namespace.

A *subject* is a way from the user to the origin: an entry to connect to, and the processes in
between. adit is one; so are the baselines (lib/baseline.py) and other connectors (lib/peer.py). They
are started when a row first wants them and live until the end.
"""

import copy
import json
import os
import socket

from lib import baseline, peer, space
from lib.process import Child, Failure, Skip, poll, run

EXPECTED = 4
ORIGIN = "10.116.0.2"           # where the origin listens
ADIT = "10.116.0.3"             # the same as adit's route has it
NETWORK = "10.116.0.0/16"
ORIGIN_PORT = 5001
PER_USER = 1000                 # connections that one `adit connect --listen` takes
EDGE_LIMITS = "limits:\n  streams-per-connection: 20000\n  handshakes-per-second: 100000\n"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Control:
    """A connection to a control socket, asked as often as one likes; made again when the server has
    closed it for being idle."""

    def __init__(self, path):
        self.path, self.socket, self.file = path, None, None
        poll(self._connect, f"{path} to answer")

    def _connect(self):
        self.close()
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(self.path)
        except OSError:
            return False
        self.file = self.socket.makefile("rwb")
        return True

    def _ask(self, question):
        try:
            self.file.write(question)
            self.file.flush()
            return self.file.readline()
        except OSError:
            return b""

    def ask(self, command, **args):
        question = json.dumps({"v": 1, "command": command, "args": args}).encode() + b"\n"
        line = self._ask(question)
        if not line and self._connect():
            line = self._ask(question)
        if not line:
            raise Failure(f"{self.path} doesn't answer")
        answer = json.loads(line)
        if not answer["ok"]:
            raise Failure(f"{command}: {answer['error']['text']}")
        return answer["result"]

    def close(self):
        for part in (self.file, self.socket):
            try:
                if part:
                    part.close()
            except OSError:
                pass        # what was not sent is not missed
        self.socket = self.file = None


class Edge:
    """@prefix goes before its command (a namespace); it listens on @address."""

    def __init__(self, tools, name="edge", address="127.0.0.1", prefix=(), settings=""):
        self.tools, self.address = tools, f"{address}:{free_port()}"
        self.folder = tools.file(name)
        self.socket_path = os.path.join(self.folder, "edge.sock")
        self.ca, self.cert, self.key = (os.path.join(self.folder, f"{part}.pem")
                                        for part in ("ca", "cert", "key"))
        run((tools.adit_edge, "init", "--state-directory", self.folder, "--ip", address,
             "--name", "h2.cftunnel.com"))
        config = tools.write(f"{name}.yml", f"listen: {self.address}\n"
                             f"state-directory: {self.folder}\n"
                             f"control-socket: {self.socket_path}\nloglevel: warn\n"
                             + EDGE_LIMITS + settings)
        self.process = tools.child((*prefix, tools.adit_edge, "run", "--config", config), name)
        self.control = Control(self.socket_path)
        self.client = tools.file(f"{name}-client.json")
        self.admin("client", "add", "bench", "--output", self.client, "--edge", self.address)
        self.admin("client", "grant", "add", "bench", NETWORK)

    def admin(self, *argv):
        return run((self.tools.adit_edge, *argv, "--socket", self.socket_path))

    def tunnel(self, name):
        """Path of the new tunnel's credentials."""
        path = self.tools.file(f"{name}.json")
        self.admin("tunnel", "create", name, "--credentials-file", path)
        self.admin("grant", "add", name, NETWORK)
        return path

    def registered(self, tunnel):
        """Ids of the live connections of @tunnel."""
        rows = self.control.ask("connections", tunnel=tunnel)["connections"]
        return [row["id"] for row in rows
                if row["kind"] != "client" and row["state"] == "registered"]

    def close(self):
        self.control.close()
        self.process.stop()


class Agent:
    """`adit run` for a tunnel of its own; routes: {address: port on this host}."""

    def __init__(self, tools, edge, name, routes, prefix=(), program=None):
        self.tools, self.edge, self.name, self.prefix = tools, edge, name, tuple(prefix)
        self.program = program or tools.adit
        self.folder = tools.file(f"agent-{name}")
        os.mkdir(self.folder)
        self.socket_path = os.path.join(self.folder, "adit.sock")
        self.head = (f"edge: {edge.address}\ncacert: {edge.ca}\n"
                     f"credentials-file: {edge.tunnel(name)}\n"
                     f"control-socket: {self.socket_path}\nstate-directory: {self.folder}\n"
                     "loglevel: warn\n")
        if routes:
            self.head += "routes:\n" + "".join(
                f"  - network: {address}/32\n    via: {via}\n" for address, via in routes.items())
        self.config = tools.write(f"agent-{name}.yml", self.head)
        self.process = None

    def argv(self):
        return (*self.prefix, self.program, "run", "--config", self.config)

    def start(self):
        self.process = self.tools.child(self.argv(), f"agent-{self.name}")
        return self

    def wait(self):
        poll(lambda: len(self.edge.registered(self.name)) == EXPECTED, "four connections")
        return self

    def wait_routes(self):
        def accepted():
            listed = json.loads(run((self.tools.adit, "routes", "--json", "--socket",
                                     self.socket_path)))
            return all(route["state"] == "accepted" for route in listed["routes"])
        poll(accepted, "the routes", pause_s=0.05)
        return self

    def stop(self):
        self.process.stop()


class User:
    """`adit connect --listen`: entry() is where a program connects to."""

    def __init__(self, tools, edge, address, port, prefix=(), name="user"):
        self.port = free_port()
        self.process = tools.child(
            (*prefix, tools.adit, "connect", "--credentials", edge.client, "--listen",
             f"127.0.0.1:{self.port}", address, port), name)
        self.prefix = tuple(prefix)
        poll(self.listens, "adit connect to listen")

    def listens(self):
        """Looked up, not tried: a try would be a stream."""
        if not self.process.running():
            raise Failure(f"adit connect ended: {self.process.log_tail()}")
        with open(f"/proc/{self.process.pid}/net/tcp", encoding="ascii") as f:
            return f"0100007F:{self.port:04X} 00000000:0000 0A" in f.read()

    def entry(self):
        return "127.0.0.1", self.port


class Subject:
    """@agent is the process under test, @edge the one before it (None where there is none).
    @address is the origin's as users of the edge know it."""

    def __init__(self, entry, agent, edge=None, connector=None, address=None, user=None):
        self.entry, self.agent, self.edge, self.connector = entry, agent, edge, connector
        self.address, self.user = address, user


class Tools:
    """Programs of a build and a folder for what they write."""

    def __init__(self, build, folder):
        self.folder, self.build = folder, build
        self.adit, self.adit_edge = (os.path.join(build, "cmd", name)
                                     for name in ("adit", "adit-edge"))

    def program(self, name):
        path = os.path.join(self.build, "bench", name)
        if not os.access(path, os.X_OK):
            raise Skip(f"{name} isn't built")
        return path

    def file(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.file(name), "w", encoding="ascii") as f:
            f.write(text)
        return self.file(name)

    def child(self, argv, name, **options):
        return Child(argv, self.file(f"{name}.log"), **options)

    def load(self, verb, entry, *arguments, prefix=(), **options):
        """One run of bench-load: what it measured."""
        return json.loads(run((*prefix, self.program("bench-load"), verb, *entry, *arguments),
                              **options))


class Stand:
    """@peer: another connector's program, or None; @with_ssh: `ssh -R`, too."""

    def __init__(self, tools, peer_program=None, with_ssh=False):
        self.tools, self.peer_program, self.with_ssh = tools, peer_program, with_ssh
        for address in (ORIGIN, ADIT, peer.ADDRESS):
            space.add_address(address)
        self.origin = tools.child((tools.program("bench-load"), "serve", "0.0.0.0", ORIGIN_PORT),
                                  "origin", ready="ready")
        self.edge, self.label = Edge(tools), ""
        self.subjects, self.failures = {}, {}

    def apart(self, label):
        """The same with an edge and connectors of its own, for figures about memory: what others
        have freed before would be used again and look like nothing."""
        other = copy.copy(self)
        other.edge, other.label, other.subjects = Edge(self.tools, f"edge-{label}"), label, {}
        other.failures = {}
        return other

    def close(self):
        for subject in self.subjects.values():
            if subject.connector:
                subject.user.process.stop()
                subject.connector.stop()
                if subject.connector.edge is not self.edge:
                    subject.connector.edge.close()
        self.edge.close()

    def subject(self, name):
        """Whoever couldn't be set up once isn't tried again: the first reason is the true one."""
        if name in self.failures:
            raise self.failures[name]
        if name not in self.subjects:
            try:
                self.subjects[name] = _SUBJECTS[name](self)
            except (Skip, Failure) as e:
                self.failures[name] = e
                raise
        return self.subjects[name]

    def connector(self, name):
        """One that isn't started, for the rows about starting: adit's or the peer's."""
        if name == "peer":
            return peer.Connector(self.tools, self.edge, self.peer_program, "starting-peer")
        return Agent(self.tools, self.edge, "starting-adit", {})

    def entries(self, subject, n_streams):
        """Where so many streams can go in: one user takes PER_USER. Baselines take them all."""
        if not subject.address:
            return [subject.entry], []
        users = [User(self.tools, self.edge, subject.address, ORIGIN_PORT, name=f"user{i}")
                 for i in range(-(-n_streams // PER_USER))]
        return [user.entry() for user in users], users

    def origin_entry(self):
        return ORIGIN, ORIGIN_PORT


def _adit(stand):
    agent = Agent(stand.tools, stand.edge, f"bench{stand.label}",
                  {ADIT: f"{ORIGIN}:{ORIGIN_PORT}"}).start().wait().wait_routes()
    user = User(stand.tools, stand.edge, ADIT, ORIGIN_PORT)
    return Subject(user.entry(), agent.process, stand.edge.process, agent, ADIT, user)


def _adit_16k(stand):
    """An edge that takes frames of 16 KiB only, as another make's would."""
    apart = copy.copy(stand)
    apart.edge = Edge(stand.tools, "edge-16k", settings="max-frame-size: 16KiB\n")
    apart.label = "-16k"
    return _adit(apart)


def _peer(stand):
    if not stand.peer_program:
        raise Skip("no PEER= was given")
    connector = peer.Connector(stand.tools, stand.edge, stand.peer_program,
                               f"peer{stand.label}")
    connector.route(peer.ADDRESS)
    connector.start().wait()
    user = User(stand.tools, stand.edge, peer.ADDRESS, ORIGIN_PORT, name="peer-user")
    return Subject(user.entry(), connector.process, stand.edge.process, connector,
                   peer.ADDRESS, user)


def _ssh(stand):
    if not stand.with_ssh:
        raise Skip("PEER_SSH=1 was not given")
    remote = peer.SshRemote(stand.tools, stand.origin_entry(), free_port(), free_port())
    return Subject(remote.entry(), remote.process, remote.server)


def _relays(mode):
    def make(stand):
        chain = baseline.Chain(stand.tools, stand.edge, mode, stand.origin_entry(), free_port(),
                               free_port())
        return Subject(chain.entry(), chain.accepts, chain.dials)
    return make


def _stunnel(stand):
    pair = baseline.Stunnel(stand.tools, stand.edge, stand.origin_entry(), free_port(),
                            free_port())
    return Subject(pair.entry(), pair.server, pair.client)


def _direct(stand):
    return Subject(stand.origin_entry(), stand.origin)


_SUBJECTS = {"adit": _adit, "adit-16k": _adit_16k, "peer": _peer, "ssh": _ssh,
             "coalesced": _relays("coalesced"), "plain": _relays("plain"),
             "stunnel": _stunnel, "direct": _direct}
