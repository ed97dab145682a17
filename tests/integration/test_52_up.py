# SPDX-License-Identifier: Apache-2.0
"""`adit up` between namespaces: a real TUN device, the kernel's own TCP, plain programs."""

import hashlib
import os
import shutil
import signal
import sys
import tempfile

from support import origin, sites
from support.case import Case, main
from support.connecting import CONNECT
from support.require import need
from support.up import Up, network_state
from support.waiting import wait_until

HOST = {"4": sites.HOST4, "6": sites.HOST6}


class UpCase(Case):
    families = "46"
    mtu = 1500

    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        self.net = sites.Sites(self, self.families, self.mtu)

    def user(self, *argv, **options):
        return self.net.run("user", *argv, **options)

    def check(self, *argv, **options):
        done = self.user(*argv, **options)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def python(self, code, *argv):
        """A few lines in the user's namespace; what they print."""
        return self.check(sys.executable, "-c", code, *argv)


UDP_ONCE = """
import errno, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(60)
s.connect((sys.argv[1], int(sys.argv[2])))
size = int(sys.argv[3])
data = bytes(i * 7 & 255 for i in range(size))
s.send(data)
try:
    print("same" if s.recv(70000) == data else "other")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""


class ProgramsTest(UpCase):
    """Everything through one `adit up`, in each family."""

    def setUp(self):
        super().setUp()
        self.net.serve("a")
        self.lab = sites.Lab(self, self.net, sites_up=("a",))
        self.up = Up(self, self.lab).wait_up()

    def each(self):
        for family in self.families:
            with self.subTest(family=family):
                yield HOST[family]

    def test_curl_dig_ping(self):
        for host in self.each():
            self.assertEqual(self.check("curl", "-s", "-g", "-m", "60", sites.url(host)), "a\n")
            txt = self.check("dig", "+short", "+tries=1", "+time=30", f"@{host}",
                             "host.corp.test", "TXT")
            self.assertEqual(txt, '"a"\n')
            txt = self.check("dig", "+tcp", "+short", "+tries=1", f"@{host}", "host.corp.test",
                             "TXT")
            self.assertEqual(txt, '"a"\n')
            self.check("ping", "-c", "3", "-i", "0.2", "-W", "30", host)
            # Larger ones to a loopback device hit a checksum bug of the kernel's ping sockets.
            self.check("ping", "-c", "1", "-s", "15000", "-W", "30", host)

    def test_ssh_scp_rsync(self):
        need("sshd", "rsync")
        sshd = self.net.sshd("a")
        options = sshd.ssh_options()
        data = origin.pattern(20_000_000)
        sent = self.write("sent", data)
        for i, host in enumerate(self.each()):
            there = f"{sshd.user}@{host}"
            self.assertEqual(self.user("ssh", *options, there, "exit 7").returncode, 7)
            copy, back = self.path(f"copy{i}"), self.path(f"back{i}")
            bracketed = f"{sshd.user}@[{host}]"
            self.check("scp", "-q", *options, sent, f"{bracketed}:{copy}")
            self.assertEqual(digest(copy), hashlib.sha256(data).hexdigest())
            self.check("rsync", "-e", " ".join(["ssh", *options]), f"{bracketed}:{copy}", back)
            self.assertEqual(digest(back), hashlib.sha256(data).hexdigest())

    def test_connect_says_the_truth(self):
        quiet = {"4": sites.QUIET4, "6": sites.QUIET6}
        for family in self.families:
            with self.subTest(family=family):
                self.assertEqual(self.python(CONNECT, HOST[family], "7"), "ok\n")
                self.assertEqual(self.python(CONNECT, quiet[family], "9"), "ECONNREFUSED\n")

    def test_udp(self):
        for host in self.each():
            for size in (0, 1, 1400, 9000, 65000):
                self.assertEqual(self.python(UDP_ONCE, host, "7", str(size)), "same\n", size)
            self.assertEqual(self.python(UDP_ONCE, host, "9", "10"), "ECONNREFUSED\n")

    def test_half_close(self):
        """All is sent, the end is told, and then the answer comes."""
        for host in self.each():
            got = self.check("nc", "-N", "-w", "60", host, "7", input="x" * 300000, stdin=None)
            self.assertEqual(len(got), 300000)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class ProgramsIpv4Test(ProgramsTest):
    families = "4"


class ProgramsIpv6Test(ProgramsTest):
    families = "6"
    mtu = 1280


class LifeTest(UpCase):
    def setUp(self):
        super().setUp()
        self.net.serve("a")
        self.lab = sites.Lab(self, self.net, sites_up=("a",))
        self.before = network_state(self.net)

    def assert_clean(self):
        wait_until(lambda: network_state(self.net) == self.before, "the network to be as before",
                   show=lambda: network_state(self.net))

    def test_nothing_stays(self):
        """Signals, `adit down`, SIGKILL of the main process."""
        for end in ("SIGTERM", "SIGINT", "SIGHUP", "down", "SIGKILL"):
            with self.subTest(end=end):
                up = Up(self, self.lab, name=f"up-{end}").wait_up()
                self.assertNotEqual(network_state(self.net), self.before)
                if end == "down":
                    self.assertEqual(up.command("down").returncode, 0)
                    self.assertEqual(up.process.wait(), 0)
                elif end == "SIGKILL":
                    up.process.kill()
                else:
                    up.process.signal(getattr(signal, end))
                    self.assertEqual(up.process.wait(), 0)
                self.assert_clean()

    def test_both_killed(self):
        """Rules and throw routes stay, until the next start or `adit down`; others' stay for good."""
        up = Up(self, self.lab).wait_up()
        helper = up.helper_pid()
        self.net.ip("user", "rule", "add", "priority", "5300", "table", "44301")
        with_rule = network_state(self.net)
        up.process.signal(signal.SIGSTOP)
        os.kill(helper, signal.SIGKILL)
        up.process.kill()
        self.assertIn("throw", self.net.run("user", "ip", "route", "show", "table",
                                            "44301").stdout)
        self.assertEqual(up.command("down").returncode, 0)
        self.assertNotIn("173", self.net.run("user", "ip", "rule").stdout)
        again = Up(self, self.lab, name="again").wait_up()
        again.process.kill()
        self.net.ip("user", "rule", "del", "priority", "5300")
        self.assert_clean()
        self.assertNotEqual(with_rule, self.before)

    def test_two_instances(self):
        first = Up(self, self.lab).wait_up()
        second = Up(self, self.lab, name="up")
        self.assertEqual(second.process.wait(), 73)
        self.assertIn(str(first.pid()), second.process.log())
        self.assertEqual(self.check("curl", "-s", "-m", "60", sites.url(sites.HOST4)), "a\n")
        third = Up(self, self.lab, "--instance", "1", "--include", "10.0.0.6/32", name="other")
        wait_until(lambda: "up device" in third.process.log(), "the third to be up",
                   show=third.process.log_tail)

    def test_no_capability_is_left(self):
        # Where nobody can read them.
        folder = tempfile.mkdtemp(prefix="adit-test-")
        self.addCleanup(shutil.rmtree, folder)
        self.lab.client = shutil.copy(self.lab.client, folder)
        for path in (folder, self.lab.client):
            shutil.chown(path, "nobody", "nogroup")
        up = Up(self, self.lab, "--user", "nobody", folder=folder).wait_up()
        with open(f"/proc/{up.pid()}/status", encoding="ascii") as f:
            status = dict(line.rstrip().split(":\t", 1) for line in f if ":\t" in line)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"], "1")
        sanitized = "built with a sanitizer" in up.process.log()
        self.assertEqual(status["Seccomp"], "0" if sanitized else "2")
        self.assertNotIn("0", status["Uid"].split())
        with open(f"/proc/{up.helper_pid()}/status", encoding="ascii") as f:
            self.assertIn("CapEff:\t0000000000001000", f.read())
        self.assertEqual(self.check("curl", "-s", "-m", "60", sites.url(sites.HOST4)), "a\n")

    def test_another_user_before(self):
        """Each finds the folder and the files of the one before, also of a killed one."""
        folder = tempfile.mkdtemp(prefix="adit-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        self.lab.client = shutil.copy(self.lab.client, folder)
        for user in ("nobody", "root", "daemon", "nobody"):
            with self.subTest(user=user):
                shutil.chown(self.lab.client, user)
                up = Up(self, self.lab, "--user", user, folder=folder).wait_up()
                up.process.kill()
                self.assert_clean()

    def test_device_taken_away(self):
        for name, script in (("deleted", "link del DEVICE"), ("down", "link set DEVICE down"),
                             ("flapped", "link set DEVICE down\nlink set DEVICE up")):
            with self.subTest(name):
                up = Up(self, self.lab, name=f"up-{name}").wait_up()
                device = up.status()["host"]["device"]
                done = self.user("ip", "-batch", "-", input=script.replace("DEVICE", device),
                                 stdin=None)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(up.process.wait(), 1)
                self.assertIn("device is gone or was set down", up.process.log())
                self.assert_clean()

    def test_no_listener_is_seen(self):
        Up(self, self.lab).wait_up()
        self.assertEqual(self.check("ss", "-Hltun"), "")


if __name__ == "__main__":
    main()
