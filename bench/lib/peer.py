# SPDX-License-Identifier: Apache-2.0
"""Other connectors on the same work: one with cloudflared's command line, and `ssh -R`."""

import os
import shutil

from lib.process import Failure, Skip, poll, run

ADDRESS = "10.116.0.4"          # the origin, as the peer's route has it
EXPECTED = 4
SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
"""


class Connector:
    """@program run as cloudflared would be. It needs four edge entries to keep four connections: the
    same address four times. It doesn't advertise, so the edge's operator sets its route."""

    def __init__(self, tools, edge, program, name):
        if not os.access(program or "", os.X_OK):
            raise Skip(f"PEER={program} can't be executed")
        self.tools, self.edge, self.name, self.process = tools, edge, name, None
        self.program = program
        edge.tunnel(name)
        self.token = edge.admin("tunnel", "token", name).split()[-1]

    def route(self, address):
        self.edge.admin("route", "add", f"{address}/32", self.name)

    def argv(self):
        edges = ("--edge", self.edge.address) * EXPECTED
        return (self.program, "tunnel", "--no-autoupdate", *edges, "--cacert", self.edge.ca,
                "--protocol", "http2", "--no-prechecks", "--metrics", "127.0.0.1:0",
                "--loglevel", "warn", "--grace-period", "1s", "run", "--token", self.token)

    def start(self):
        # Its looks at the DNS fail at once in this namespace and are only logged.
        self.process = self.tools.child(self.argv(), self.name,
                                        env={**os.environ, "HOME": self.tools.folder})
        return self

    def wait(self):
        def registered():
            if not self.process.running():
                raise Failure(f"the peer ended, status {self.process.status()}: "
                              f"{self.process.log_tail() or 'it said nothing'}")
            return len(self.edge.registered(self.name)) == EXPECTED
        poll(registered, "the peer's four connections")
        return self

    def stop(self):
        self.process.stop()


class SshRemote:
    """`ssh -R`: the ssh client is the connector, a throw-away sshd the edge."""

    def __init__(self, tools, origin, sshd_port, entry_port):
        sshd = shutil.which("sshd")
        if not sshd or not shutil.which("ssh"):
            raise Skip("ssh and sshd aren't both installed")
        folder, self.port = tools.file("ssh"), entry_port
        os.mkdir(folder, 0o700)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for key in ("host", "user"):
            run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"))
        config = tools.write("sshd_config", SSHD_CONFIG.format(port=sshd_port, folder=folder))
        self.listener = tools.child((sshd, "-D", "-e", "-f", config), "sshd", ready="listening")
        with open(f"{folder}/host.pub", encoding="ascii") as f:
            kind, key = f.read().split()[:2]
        tools.write("ssh/known", f"bench {kind} {key}\n")
        self.process = tools.child(
            ("ssh", "-F", "none", "-N", "-i", f"{folder}/user", "-p", sshd_port,
             "-o", f"UserKnownHostsFile={folder}/known", "-o", "HostKeyAlias=bench",
             "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
             "-R", f"127.0.0.1:{entry_port}:{origin[0]}:{origin[1]}", "127.0.0.1"), "ssh")
        self.server = poll(self._session, "ssh -R to listen", pause_s=0.05)

    def _session(self):
        """sshd's process that has the forwarding: the last of the chain of children."""
        if not self.process.running():
            raise Failure(f"ssh ended: {self.process.log_tail()}")
        with open("/proc/net/tcp", encoding="ascii") as f:
            if f"0100007F:{self.port:04X} 00000000:0000 0A" not in f.read():
                return None
        pid = self.listener.pid
        while children := self._children(pid):
            pid = children[-1]
        return _Process(pid)

    @staticmethod
    def _children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(child) for child in f.read().split()]

    def entry(self):
        return "127.0.0.1", self.port


class _Process:
    """Someone else's child: only its pid is of use."""

    def __init__(self, pid):
        self.pid = pid
