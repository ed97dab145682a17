# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of the bench's own: one for all that is on loopback, further ones for paths."""

import fcntl
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys

from lib.process import Child, Skip, run

MARK = "ADIT_BENCH_NETNS"
N_FILES = 65536
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sH14s", b"lo", 0, bytes(14))
        flags = struct.unpack("16sH14s", fcntl.ioctl(s, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, bytes(14)))


def enter():
    """Executes this program again in a network namespace of its own; returns in there."""
    if MARK not in os.environ:
        os.environ[MARK] = "1"
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        works = subprocess.run(("unshare", "--net", *user, "true"), check=False,
                               stderr=subprocess.DEVNULL).returncode == 0
        if not works:
            sys.exit("bench: this user can't make a network namespace: run it as root")
        argv = ("unshare", "--net", *user, sys.executable, *sys.argv)
        os.execvp(argv[0], argv)
    loopback_up()
    # Streams by the ten thousand leave as many connections in TIME_WAIT.
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as f:
        f.write("10000 65535")
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(N_FILES, hard), hard))


def add_address(address):
    run(("ip", "address", "add", f"{address}/32", "dev", "lo"))


def congestion_control():
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as f:
        return f.read().strip()


class Space:
    """One more namespace, alive as long as the process that sleeps in it."""

    def __init__(self, folder):
        if not shutil.which("nsenter"):
            raise Skip("nsenter is missing")
        self.holder = Child(("unshare", "--net", "sh", "-c", "echo ready; exec sleep 3600"),
                            os.path.join(folder, "space.log"), ready="ready")
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.run("ip", "link", "set", "lo", "up")

    def prefix(self):
        return ("nsenter", f"--net={self.path}", "--")

    def run(self, *argv):
        return run((*self.prefix(), *argv))

    def sysctl(self, name, value):
        self.run("sysctl", "-qw", f"{name}={value}")

    def close(self):
        self.holder.stop()
