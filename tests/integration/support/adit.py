# SPDX-License-Identifier: Apache-2.0
"""The programs under test: an edge, agents and clients in the test's own folder."""

import base64
import json
import os
import signal
import subprocess
import uuid

from support.process import free_port
from support.waiting import wait_until

TIMEOUT_S = 120     # of one command; a broken one ends, a slow one doesn't fail


def binary(name):
    folder = os.environ.get("ADIT_BUILD_DIR")
    if not folder:
        raise AssertionError("ADIT_BUILD_DIR is not set: run the tests with ctest")
    return os.path.join(folder, "cmd", name)


def run(argv, **options):
    """A command to its end: its CompletedProcess with text output, never raising."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", TIMEOUT_S)
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", **options)


def check(argv, **options):
    done = run(argv, **options)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Edge:
    """`adit-edge` with its state in NAME/ of the test's folder. @prefix goes before its
    commands (a namespace), @settings are further lines of edge.yml, @also are addresses of other
    edges that will have the same certificate."""

    def __init__(self, case, name="edge", settings="", host="127.0.0.1", prefix=(), also=()):
        self.case, self.name, self.prefix, self.host = case, name, list(prefix), host
        self.folder = case.path(name)
        self.port = free_port()
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.socket = os.path.join(self.folder, "edge.sock")
        self.ca_file = os.path.join(self.folder, "ca.pem")
        check([binary("adit-edge"), "init", "--state-directory", self.folder,
               *(word for ip in (host, *also) for word in ("--ip", ip))])
        self.config = case.write(f"{name}.yml", f"listen: \"{self.address}\"\n"
                                 f"state-directory: {self.folder}\n"
                                 f"control-socket: {self.socket}\n" + settings)
        self.process = None

    def start(self, **options):
        argv = self.prefix + [binary("adit-edge"), "run", "--config", self.config]
        self.process = self.case.start(self.name, argv, **options)
        wait_until(self.answers, "the edge to answer", show=self.process.log_tail)
        return self

    def answers(self):
        if not self.process.running():
            raise AssertionError(f"the edge ended\n{self.process.log_tail()}")
        return self.try_admin("status").returncode == 0

    def kill(self):
        self.process.kill()

    def try_admin(self, *argv):
        return run([binary("adit-edge"), *argv, "--socket", self.socket])

    def admin(self, *argv):
        return check([binary("adit-edge"), *argv, "--socket", self.socket])

    def json(self, *argv):
        return json.loads(self.admin(*argv, "--json"))

    def create_tunnel(self, name="t1", prefixes=("10.116.0.0/16",)):
        """Returns the path of the credentials file."""
        path = self.case.path(f"{name}.json")
        self.admin("tunnel", "create", name, "--credentials-file", path)
        for prefix in prefixes:
            self.admin("grant", "add", name, prefix)
        return path

    def create_client(self, name="alice", prefixes=("10.116.0.0/16",), ports=None):
        path = self.case.path(f"{name}-client.json")
        self.admin("client", "add", name, "--output", path, "--edge", self.address)
        for prefix in prefixes:
            self.admin("client", "grant", "add", name, prefix,
                       *(("--ports", ports) if ports else ()))
        return path

    def connections(self):
        """Connections of connectors and clients as the edge lists them."""
        return self.json("connections")["connections"]

    def agents(self):
        """Registered connections of agents."""
        return [c for c in self.connections()
                if c["kind"] != "client" and c["state"] == "registered"]


class Agent:
    """`adit run` with its files in NAME/ of the test's folder."""

    def __init__(self, case, edges, ca_file, credentials, routes="", name="agent", settings="",
                 prefix=()):
        self.case, self.name, self.prefix = case, name, list(prefix)
        self.folder = case.path(name)
        os.makedirs(self.folder, exist_ok=True)
        self.socket = os.path.join(self.folder, "adit.sock")
        edges = [edges] if isinstance(edges, str) else edges
        self.head = (f"edge: [{', '.join(json.dumps(e) for e in edges)}]\n"
                     f"cacert: {ca_file}\ncredentials-file: {credentials}\n"
                     f"control-socket: {self.socket}\nstate-directory: {self.folder}\n")
        self.config = self.configure(routes, settings)
        self.process = None

    def configure(self, routes="", settings=""):
        return self.case.write(f"{self.name}.yml", self.head + settings + routes)

    def start(self, **options):
        argv = self.prefix + [binary("adit"), "run", "--config", self.config]
        self.process = self.case.start(self.name, argv, **options)
        return self

    def command(self, name, *argv):
        return run([binary("adit"), name, *argv, "--socket", self.socket,
                    "--state-directory", self.folder])

    def status(self):
        """(exit code, the answer of `adit status --json`)."""
        done = self.command("status", "--json")
        try:
            return done.returncode, json.loads(done.stdout)
        except json.JSONDecodeError as e:
            raise AssertionError(f"status said: {done.stdout!r} {done.stderr!r}") from e

    def state(self):
        return self.status()[1]["state"]

    def connections(self):
        return self.status()[1].get("connections", [])

    def wait_state(self, state, deadline_s=60):
        wait_until(lambda: self.state() == state, f"the state {state}", deadline_s,
                   lambda: f"{self.status()}\n{self.process.log_tail()}")

    def routes(self):
        return json.loads(self.command("routes", "--json").stdout)["routes"]

    def wait_accepted(self):
        wait_until(lambda: all(r["state"] == "accepted" for r in self.routes()),
                   "all routes to be accepted", show=lambda: str(self.routes()))

    def reload(self):
        return self.command("reload")

    def terminate(self, **options):
        return self.process.terminate(**options)

    def hang_up(self):
        self.process.signal(signal.SIGHUP)


def route(network, via=None, ports=None, virtual_network=None):
    """One entry for `routes:`."""
    rows = [f"  - network: {network}\n"]
    for key, value in (("via", via), ("ports", ports), ("virtual-network", virtual_network)):
        if value:
            rows.append(f"    {key}: {value}\n")
    return "".join(rows)


def routes(*entries):
    return "routes:\n" + "".join(entries)


def write_credentials(case, name="credentials.json", account="f" * 32, secret=bytes(range(32)),
                      tunnel=None):
    """cloudflared's credentials file for an agent of a scripted edge."""
    return case.write(name, json.dumps({
        "AccountTag": account, "TunnelSecret": base64.b64encode(secret).decode(),
        "TunnelID": str(tunnel or uuid.UUID(int=0x11111111222243338444555555555555)),
        "Endpoint": ""}))


def connect_argv(address, port, credentials, *extra):
    """`adit connect`, as used by ProxyCommand."""
    return [binary("adit"), "connect", *extra, "--credentials", credentials, address, str(port)]


def connect(address, port, credentials, data=b"", **options):
    """`adit connect` with @data on stdin; CompletedProcess with bytes."""
    return subprocess.run(connect_argv(address, port, credentials), input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                          **options)
