# SPDX-License-Identifier: Apache-2.0
"""What a test needs from the machine.

A missing thing skips the test, unless ADIT_TEST_REQUIRE (a comma list of the names
below) contains it: then the test fails, so that CI cannot lose tests silently.
"""

import functools
import grp
import os
import shutil
import socket
import subprocess
import sys
import unittest

SKIPPED = 77    # as ctest knows it


def _runs(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=20).returncode == 0
    except OSError:
        return False


def _has_h2():
    try:
        import h2.connection  # noqa: F401
    except ImportError:
        return False
    return True


def _has_pty():
    """An sshd of our own can't change a terminal's group: it must be right from the start."""
    if os.geteuid() == 0:
        return True
    master, slave = os.openpty()
    try:
        return os.fstat(slave).st_gid == grp.getgrnam("tty").gr_gid
    finally:
        os.close(master)
        os.close(slave)


def _has_openbsd_nc():
    """The one that knows proxies: others have no -X."""
    try:
        return b"-X proxy_protocol" in subprocess.run(
            ["nc", "-h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20).stdout
    except OSError:
        return False


def _resolves_localhost():
    """libc knows no name by itself, and a bare system has no /etc/hosts."""
    try:
        return bool(socket.getaddrinfo("localhost", 1))
    except OSError:
        return False


STATIC = ("uv_a", "nghttp2", "ssl", "crypto", "jansson", "yaml", "cares", "seccomp")


def _links_static():
    """A compiler, and an archive of each library that the agent needs."""
    return _runs("cc", "-static", "-nostdlib", "-r", "-o", os.devnull,
                 *(f"-l{name}" for name in STATIC))


CHECKS = {
    "root": lambda: os.geteuid() == 0,
    "pty": _has_pty,
    "netns": lambda: _runs("unshare", "--net", "ip", "link", "set", "lo", "up"),
    "nft": lambda: _runs("unshare", "--net", "nft", "add", "table", "inet", "t"),
    "tun": lambda: os.access("/dev/net/tun", os.R_OK | os.W_OK),
    "sshd": lambda: all(shutil.which(p) for p in ("sshd", "ssh", "scp", "sftp", "ssh-keygen")),
    "capnp": lambda: shutil.which("capnp") is not None,
    "h2": _has_h2,
    "dig": lambda: shutil.which("dig") is not None,
    "nc": _has_openbsd_nc,
    "rsync": lambda: shutil.which("rsync") is not None,
    "static": _links_static,
    "localhost": _resolves_localhost,
    "openssl": lambda: shutil.which("openssl") is not None,
    "tinyproxy": lambda: shutil.which("tinyproxy") is not None,
    "microsocks": lambda: shutil.which("microsocks") is not None,
}


@functools.lru_cache(maxsize=None)
def _present(name):
    return CHECKS[name]()


def _refuse_if_required(name):
    required = {n.strip() for n in os.environ.get("ADIT_TEST_REQUIRE", "").split(",")}
    if name in required:
        raise AssertionError(f"{name} is required by ADIT_TEST_REQUIRE but missing")


def need(*names):
    """Skips the calling test when one of @names is missing, or fails it when required."""
    for name in names:
        if not _present(name):
            _refuse_if_required(name)
            raise unittest.SkipTest(f"needs {name}")


def give_up(name):
    """For a module that can't even be loaded without @name: skips the whole file."""
    _refuse_if_required(name)
    print(f"skipped: needs {name}")
    sys.exit(SKIPPED)
