# SPDX-License-Identifier: Apache-2.0
"""A throw-away OpenSSH server on loopback and the client options that go with it."""

import getpass
import os
import shutil
import subprocess
import sys

from support.process import free_port
from support.waiting import wait_until

CONFIG = """\
Port {port}
{listen}HostKey {host_key}
PidFile none
AuthorizedKeysFile {authorized}
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
MaxStartups 500
MaxSessions 100
Subsystem sftp internal-sftp
{settings}"""


class Sshd:
    """Started in @case's folder; ssh_options() are common to ssh, scp and sftp. @prefix goes
    before its command (a namespace), where it listens on @addresses. @settings are further lines of
    its configuration."""

    def __init__(self, case, name="sshd", prefix=(), addresses=("127.0.0.1",), port=None,
                 settings=""):
        self.folder, self.prefix, self.addresses = case.path(name), list(prefix), addresses
        os.mkdir(self.folder, 0o700)
        self.port, self.user = port or free_port(), getpass.getuser()
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.user_key, host_key = self._key("user"), self._key("host")
        shutil.copy(f"{self.user_key}.pub", self._file("authorized"))
        config = self._file("sshd_config")
        with open(config, "w", encoding="ascii") as f:
            listen = "".join(f"ListenAddress {a}\n" for a in addresses)
            f.write(CONFIG.format(port=self.port, listen=listen, host_key=host_key,
                                  authorized=self._file("authorized"), settings=settings))
        self.process = case.start(name, self.prefix + [shutil.which("sshd"), "-D", "-e", "-f",
                                                       config])
        with open(f"{host_key}.pub", encoding="ascii") as f:
            kind, key = f.read().split()[:2]
        with open(self._file("known_hosts"), "w", encoding="ascii") as f:
            f.write(f"adit-test {kind} {key}\n")
        wait_until(self._answers, "sshd to listen", show=self.process.log_tail)

    def _file(self, name):
        return os.path.join(self.folder, name)

    def _key(self, name):
        path = self._file(f"{name}_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def _answers(self):
        """Asked from where it runs."""
        code = ("import socket, sys\n"
                f"s = socket.create_connection(({self.addresses[0]!r}, {self.port}), 5)\n"
                "sys.exit(s.recv(4) != b'SSH-')\n")
        return subprocess.run(self.prefix + [sys.executable, "-c", code], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0

    def ssh_options(self, proxy_command=None):
        options = ["-F", "none", "-i", self.user_key,
                   "-o", f"UserKnownHostsFile={self._file('known_hosts')}",
                   "-o", "GlobalKnownHostsFile=none", "-o", "HostKeyAlias=adit-test",
                   "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
                   "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
        if proxy_command:
            options += ["-o", f"ProxyCommand={proxy_command}"]
        return options
