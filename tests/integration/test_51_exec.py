# SPDX-License-Identifier: Apache-2.0
"""`adit exec`: a command in one virtual network while others have the same addresses elsewhere,
as root and as a user without any right."""

import json
import os
import pty
import pwd
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys

from support import adit, sites
from support.case import Case, main
from support.connecting import BLOCKING
from support.require import need
from support.up import network_state
from support.waiting import DEADLINE_S, wait_until

USER = "daemon"     # any that isn't root and isn't nobody, which files of strangers belong to
EXIT_NO_NETWORK, EXIT_UNAUTHENTICATED, EXIT_EDGE = 11, 19, 21
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The machine as a test has it: what is changed here ends with the mount namespace.
SCRIPT = """
mkdir "$1/o" && mount -t tmpfs -o mode=0755 tmpfs "$1/o" && mkdir "$1/o/u" "$1/o/w"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/o/u,workdir=$1/o/w" overlay /etc
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/nscd /run/systemd/resolve
touch /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve
mknod -m "$2" "$1/o/tun" c 10 200
mount --bind "$1/o/tun" /dev/net/tun
rm -f /etc/resolv.conf
. "$1/view.sh"
shift 2
exec "$@"
"""

PLAIN_FILE = "echo 'nameserver 192.0.2.1' >/etc/resolv.conf\n"
LINK = ("echo 'nameserver 192.0.2.1' >/run/systemd/resolve/stub-resolv.conf\n"
        "ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf\n")

CONNECT = BLOCKING + """
import errno, sys
for target in sys.argv[1:]:
    host, port, kind = target.split(",")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    block(s)
    try:
        s.connect((host, int(port)))
        s.settimeout(60)
        s.send(b"x" * 40000)
        got = s.recv(65536) if kind != "connect" else b""
        print("ok", flush=True)
    except OSError as e:
        print(errno.errorcode.get(e.errno, e), flush=True)
"""


class ExecCase(Case):
    """@user: who runs `adit exec`. @families: of the machine's networks and of the sites."""
    user = None
    families = "46"

    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        os.chmod(self.tmp, 0o755)
        # The build folder may be where only root can look, such as in /root.
        self.program = shutil.copy(adit.binary("adit"), self.path("adit"))
        self.net = sites.Sites(self, self.families)
        self.write("inside.sh", SCRIPT, mode=0o644)
        self.view(PLAIN_FILE)

    def view(self, lines):
        """Further lines of SCRIPT."""
        self.write("view.sh", lines, mode=0o644)

    def lab(self, **options):
        self.net.serve("a")
        self.net.serve("b")
        made = sites.Lab(self, self.net, **options)
        self.client = self.give(made.client)
        return made

    def give(self, path):
        """A copy that the user may read and nobody else."""
        copy = f"{path}-{self.user or 'root'}"
        shutil.copy(path, copy)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(copy, entry.pw_uid, entry.pw_gid)
        os.chmod(copy, 0o600)
        return copy

    def inside(self, *argv, tun_mode="0666"):
        """In the user's network namespace and the test's view of the machine, as the user."""
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}",
                  "--clear-groups"] if self.user else []
        return self.net.prefix("user") + [
            "unshare", "--mount", "--propagation", "private", "sh", "-e", self.path("inside.sh"),
            self.folder(), tun_mode, *become, *argv]

    def folder(self):
        """SCRIPT's own, each time."""
        folder = self.path(f"view{len(os.listdir(self.tmp))}")
        os.mkdir(folder, 0o755)
        shutil.copy(self.path("view.sh"), folder)
        return folder

    def argv(self, *command, network="staging", options=(), **more):
        named = ("--virtual-network", network) if network else ()
        return self.inside(self.program, "exec", "--credentials", self.client, *named,
                           *options, "--", *command, **more)

    def exec(self, *command, env=None, **options):
        return adit.run(self.argv(*command, **options), cwd="/",
                        env={**os.environ, "PATH": PATH, **(env or {})})

    def check(self, *command, **options):
        done = self.exec(*command, **options)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout


class TwoNetworks:
    def test_the_same_address_twice_at_once(self):
        self.lab()
        before = network_state(self.net)
        script = "while read url; do curl -s -g -m 60 $url; done"
        shells = [self.start(f"shell-{network}", self.argv("sh", "-c", script, network=network),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
                  for network in ("staging", None)]
        for host in self.net.addresses() * 2:
            for shell, want in zip(shells, (b"b\n", b"a\n")):
                url = sites.url(host) + "\n"
                shell.stdin.write(url.encode())
                shell.stdin.flush()
                self.assertEqual(shell.stdout.readline(), want)
        for shell in shells:
            shell.stdin.close()
            self.assertEqual(shell.wait(), 0)
        self.assertEqual(network_state(self.net), before)


class Programs(TwoNetworks):
    """What a command finds; for root and for a user."""

    def test_every_protocol_says_the_truth(self):
        self.lab()
        targets, want = [], []
        for host in (sites.HOST4, sites.HOST6):
            targets += [f"{host},7,tcp", f"{host},7,udp", f"{host},9,connect", f"{host},9,udp"]
            want += ["ok", "ok", "ECONNREFUSED", "ECONNREFUSED"]
        targets += ["192.0.2.9,80,connect", "127.0.0.1,80,connect"]
        want += ["EHOSTUNREACH", "ECONNREFUSED"]     # not granted; nobody in there
        out = self.check(sys.executable, "-c", CONNECT, *targets)
        self.assertEqual(out.split(), want)
        for host in (sites.HOST4, sites.HOST6):
            self.check("ping", "-c", "2", "-i", "0.2", "-W", "30", host)
        self.check("ping", "-c", "1", "-s", "15000", "-W", "30", sites.HOST4)
        # Nobody listens in there, and nothing leads out but the device.
        self.assertEqual(self.check("ss", "-Htuln"), "")
        links = json.loads(self.check("ip", "-j", "link"))
        self.assertEqual(sorted(l["ifname"] for l in links), ["adit0", "lo"])

    def test_names(self):
        self.lab()
        server = ("--name-server", sites.HOST4)
        for kind, view in (("file", PLAIN_FILE), ("link", LINK)):
            with self.subTest(kind):
                self.view(view)
                out = self.check("cat", "/etc/resolv.conf", options=server)
                self.assertEqual(out, f"nameserver {sites.HOST4}\n")
                out = self.check("curl", "-s", "-m", "60", "http://host.corp.test/",
                                 options=server)
                self.assertEqual(out, "b\n")
                self.assertEqual(self.check("cat", "/etc/resolv.conf"), "nameserver 192.0.2.1\n")
                # What looks up names outside isn't there.
                found = self.check("sh", "-c", "ls /run/nscd; ls /run/systemd/resolve")
                self.assertEqual(found, "" if view is PLAIN_FILE else "stub-resolv.conf\n")

    def test_ssh_by_drop_ins(self):
        need("sshd")
        self.lab()
        servers = {network: self.net.sshd(site)
                   for site, network in (("a", None), ("b", "staging"))}
        self.view(PLAIN_FILE + self.ssh_view(servers))
        for network, name in ((None, "prod-host"), ("staging", "staging-host")):
            done = self.exec("ssh", "-o", "BatchMode=yes", name, "exit 7", network=network)
            self.assertEqual(done.returncode, 7, done.stderr)
        # The other network's server has another key.
        done = self.exec("ssh", "-o", "BatchMode=yes", "prod-host", "exit 7")
        self.assertEqual(done.returncode, 255)
        self.assertIn("Host key verification failed", done.stderr)

    def ssh_view(self, servers):
        """Root's drop-ins: a host each, whose key is named in a file that they include."""
        lines = ["rm -rf /etc/ssh && mkdir -p /etc/ssh/ssh_config.d /etc/more"]
        files = {"/etc/ssh/ssh_config": "Include /etc/ssh/ssh_config.d/*.conf\n"}
        for network, server in servers.items():
            name = network or "prod"
            known = shutil.copy(os.path.join(server.folder, "known_hosts"),
                                self.path(f"known-{name}"))
            os.chmod(known, 0o644)
            files[f"/etc/ssh/ssh_config.d/{name}.conf"] = (
                f"Host {name}-host\n  HostName {sites.HOST4}\n  Include /etc/more/{name}\n")
            files[f"/etc/more/{name}"] = (
                f"User root\nIdentityFile {self.give(self.key_of(name, server))}\n"
                f"HostKeyAlias adit-test\nUserKnownHostsFile {known}\n"
                "GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nIdentitiesOnly yes\n")
        for path, text in files.items():
            lines.append(f"cat >{path} <<'END'\n{text}END\nchmod 644 {path}")
        return "\n".join(lines) + "\n"

    def key_of(self, name, server):
        """Out of sshd's folder, which is closed."""
        return shutil.copy(server.user_key, self.path(f"key-{name}"))

    def test_nothing_stays(self):
        self.lab()
        done = self.exec("sh", "-c", "readlink /proc/self/ns/net; echo $ADIT_VIRTUAL_NETWORK; "
                         "exit 9", env={"ADIT_VIRTUAL_NETWORK": "other"})
        self.assertEqual(done.returncode, 9, done.stderr)
        namespace, name = done.stdout.split()
        self.assertEqual(name, "staging")
        self.assertNotIn(namespace, self.namespaces())
        # In one view, before, after, and what is mounted there.
        # Namespaces of others' that end vanish from everywhere.
        look = "cat /etc/resolv.conf; grep -v /run/netns/ /proc/self/mountinfo"
        script = f'{look}; "$@" --name-server {sites.HOST4} true && echo ==== && {look}'
        done = adit.run(self.inside("sh", "-c", script, "sh", self.program, "exec",
                                    "--credentials", self.client), cwd="/")
        before, after = done.stdout.split("====\n")
        self.assertEqual(before, after)
        self.assertIn("nameserver 192.0.2.1\n", before)
        # Without a name the variable isn't there: the edge's default has none here.
        out = self.check("sh", "-c", "echo ${ADIT_VIRTUAL_NETWORK-unset}", network=None,
                         env={"ADIT_VIRTUAL_NETWORK": "other"})
        self.assertEqual(out, "unset\n")

    def test_nothing_is_inherited(self):
        self.lab()
        out = self.check("sh", "-c", "ls /proc/$$/fd; ulimit -Sn")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.assertEqual(out.split(), ["0", "1", "2", str(limit)])
        # Blocked and ignored signals are those that the caller's shell left, as with nohup.
        masks = ("grep", "Sig[BI]", "/proc/self/status")
        outside = adit.run(self.inside(*masks), cwd="/")
        self.assertEqual(self.check(*masks), outside.stdout)

    def namespaces(self):
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/net"))
            except OSError:
                pass
        return found

    def test_exit_status_and_signals(self):
        self.lab()
        for command, want in ((("sh", "-c", "exit 77"), 77), (("sh", "-c", "kill -KILL $$"), 137),
                              (("no-such-command",), 127), (("/etc",), 126), (("true",), 0)):
            with self.subTest(command):
                done = self.exec(*command)
                self.assertEqual(done.returncode, want, done.stderr)
                if want in (126, 127):
                    self.assertIn(f"adit exec: {command[0]}: ", done.stderr)
        script = ("trap 'echo caught' TERM; trap 'echo hung; exit 5' HUP; echo ready; "
                  "while :; do read line || sleep 0.05; done")
        process = self.start("traps", self.argv("bash", "-c", script), cwd="/")
        process.wait_log("ready")
        self.assertEqual(process.log().count("caught"), 0)
        process.signal(signal.SIGINT)       # the terminal gives it to the command itself
        process.signal(signal.SIGTERM)
        process.wait_log("caught")
        process.signal(signal.SIGHUP)
        self.assertEqual(process.wait(), 5)

    def test_stops_as_its_command_does(self):
        self.lab()
        process = self.start("stops", self.argv("sh", "-c", "kill -STOP $$; exit 4"), cwd="/")
        wait_until(lambda: self.state(process.pid) == "T", "adit to stop")
        process.signal(signal.SIGCONT)
        self.assertEqual(process.wait(), 4)

    def test_goes_with_its_parent(self):
        self.lab()
        process = self.start("parent", self.argv("sh", "-c", "echo pid $$; sleep 1000"), cwd="/")
        process.wait_log("pid ")
        pid = int(process.log().split("pid ")[1].split()[0])
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        process.kill()
        wait_until(lambda: self.state(pid) in (None, "Z"), "the command's end")

    def state(self, pid):
        """The letter that ps shows; None when there is no such process."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rpartition(")")[2].split()[0]
        except OSError:
            return None

    def test_the_link_is_made_again(self):
        lab = self.lab()
        shell = self.start("shell", self.argv("sh", "-c", "while read url; do curl -s -m 5 $url || "
                                              "echo failed; done"),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")

        def ask():
            shell.stdin.write(f"http://{sites.HOST4}/\n".encode())
            shell.stdin.flush()
            return shell.stdout.readline()
        self.assertEqual(ask(), b"b\n")
        lab.edge.kill()
        self.assertEqual(ask(), b"failed\n")
        lab.edge.start()
        wait_until(lambda: ask() == b"b\n", "the site to be reached again")
        shell.stdin.close()
        self.assertEqual(shell.wait(), 0)
        self.assertEqual(shell.log(), "")

    def test_terminal(self):
        self.lab()
        pid, terminal = self.on_terminal(
            self.argv("sh", "-c", "test -t 0 && tty && echo ready; exec sleep 1000"))
        self.read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 128 + signal.SIGINT)

    def test_job_control(self):
        """Ctrl-Z and fg, in a shell outside."""
        self.lab()
        pid, terminal = self.on_terminal(self.inside("env", "PS1=prompt:", "bash", "--norc",
                                                     "--noprofile", "-i"))
        script = "echo rea''dy; read word; echo got $word; exit 6"
        command = shlex.join([self.program, "exec", "--credentials", self.client, "sh",
                              "-c", script])
        os.write(terminal, f"{command}\n".encode())
        self.read_until(terminal, b"ready")
        os.write(terminal, b"\x1a")
        # Ctrl-Z throws away what was typed before its effect.
        self.read_until(terminal, b"Stopped", b"prompt:")
        # One that has its signal, but not yet the processor, may still read a key.
        wait_until(lambda: set(states_below(pid)) == {"T"}, "all of the job to have stopped")
        os.write(terminal, b"fg\n")
        self.read_until(terminal, b"read word")
        os.write(terminal, b"word\n")
        self.read_until(terminal, b"got word")
        os.write(terminal, b"exit $?\n")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 6)

    def on_terminal(self, argv):
        """(pid, the other end of its terminal)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir("/")
            os.execvp(argv[0], argv)
        self.addCleanup(os.close, terminal)
        return pid, terminal

    def read_until(self, terminal, *words):
        """Until they have come, in this order."""
        output, at = b"", 0
        for word in words:
            while (found := output.find(word, at)) < 0:
                ready, _, _ = select.select([terminal], [], [], DEADLINE_S)
                self.assertTrue(ready, output)
                output += os.read(terminal, 4096)
            at = found + len(word)


def states_below(pid):
    """The states of all processes that descend from @pid (proc(5), stat's third field)."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        children = f.read().split()
    for child in children:
        with open(f"/proc/{child}/stat", encoding="ascii") as f:
            yield f.read().rsplit(")", 1)[1].split()[0]
        yield from states_below(child)


class RootTest(Programs, ExecCase):
    def test_root_stays_root(self):
        self.lab()
        out = self.check("sh", "-c", "id -u; stat -c %U /etc/passwd; grep CapEff "
                         "/proc/self/status /proc/$PPID/status | sort -u -k2 | wc -l")
        self.assertEqual(out.split(), ["0", "root", "1"])


class UserTest(Programs, ExecCase):
    user = USER

    def test_no_right_is_left(self):
        self.lab()
        out = self.check("grep", "^Cap[IPEA]", "/proc/self/status")
        self.assertEqual({line.split()[1] for line in out.splitlines()}, {"0" * 16}, out)
        self.assertEqual(self.check("id", "-un"), f"{USER}\n")
        done = self.exec("ip", "link", "set", "lo", "down")
        self.assertNotEqual(done.returncode, 0)

    def test_unreadable_drop_in_is_told(self):
        self.lab()
        self.view(PLAIN_FILE + "rm -rf /etc/ssh && mkdir -p /etc/ssh/ssh_config.d\n"
                  "echo 'Include ssh_config.d/*.conf' >/etc/ssh/ssh_config\n"
                  "echo 'User mallory' >/etc/ssh/ssh_config.d/a.conf\n"
                  "echo 'Port 1234' >/etc/ssh/ssh_config.d/b.conf\n"
                  "chmod 600 /etc/ssh/ssh_config.d/a.conf\n")
        done = self.exec("ssh", "-G", "somewhere")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("adit exec: /etc/ssh/ssh_config.d/a.conf is left out of ssh's "
                      "configuration: Permission denied", done.stderr)
        self.assertIn("port 1234\n", done.stdout)
        self.assertIn(f"user {USER}\n", done.stdout)


class Ipv4OnlyTest(TwoNetworks, ExecCase):
    user = USER
    families = "4"


class Ipv6OnlyTest(TwoNetworks, ExecCase):
    user = USER
    families = "6"


class RefusalTest(ExecCase):
    """Before the command: one line, and a status that says why. It never runs."""
    user = USER

    def refused(self, status, text, **options):
        done = self.exec("echo", "ran", **options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("adit exec: "), lines)
        self.assertIn(text, lines[0])

    def test_edge_and_network(self):
        lab = self.lab(sites_up=("a",))
        lab.edge.admin("vnet", "add", "empty")
        self.refused(EXIT_NO_NETWORK, "no virtual network 'nowhere'", network="nowhere")
        self.refused(EXIT_NO_NETWORK, "offers nothing in virtual network 'empty'",
                     network="empty")
        # A network's id is as good as its name.
        vnets = lab.edge.json("vnet", "list")["virtual_networks"]
        default = next(v["id"] for v in vnets if v["default"])
        self.assertEqual(self.check("echo", "ran", network=default), "ran\n")
        with open(self.client, encoding="utf-8") as f:
            card = json.load(f)
        card["token"] = card["token"][:-8] + "00000000"
        with open(self.client, "w", encoding="utf-8") as f:
            json.dump(card, f)
        self.refused(EXIT_UNAUTHENTICATED, "token")
        lab.edge.kill()
        self.refused(EXIT_EDGE, "refused")

    def test_signals_while_it_connects(self):
        lab = self.lab(sites_up=("a",))
        lab.edge.process.signal(signal.SIGSTOP)     # its kernel accepts, and then nothing comes
        self.addCleanup(lab.edge.process.signal, signal.SIGCONT)
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start(f"signal-{number}", self.argv("echo", "ran"), cwd="/")
            wait_until(lambda: "ESTAB" in self.net.run("user", "ss", "-tn").stdout, "a dial")
            process.signal(number)
            self.assertEqual(process.wait(), 128 + number)
            self.assertEqual(process.log(), "")

    def test_machine(self):
        self.client = self.give(self.write("some.json", json.dumps({
            "version": 1, "name": "x", "edges": [f"{sites.EDGE4}:1"], "ca": self.some_ca(),
            "token": "adit_0123456789abcdef." + "5" * 64})))
        self.refused(1, "/dev/net/tun: Permission denied: this user may not open it: it is mode "
                     "0666", tun_mode="0600")
        # A user namespace of the test's own, of which none can be made.
        limit = ("echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "
                 "--inh-caps=-all \"$@\"")
        done = adit.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", limit, "sh",
                         adit.binary("adit"), "exec", "--credentials", self.path("some.json"),
                         "true"])
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("user.max_user_namespaces is 0", done.stderr)

    def some_ca(self):
        edge = adit.Edge(self, name="spare")
        with open(edge.ca_file, encoding="ascii") as f:
            return f.read()

    def test_usage(self):
        self.client = self.path("none.json")
        for options, text in ((("--name-server", "ns.example"), "must be an address"),
                              (("--name-server", "127.0.0.53"), "a loopback of its own"),
                              (("--loglevel", "loud"), "debug, info, warn or error")):
            done = adit.run([adit.binary("adit"), "exec", *options, "true"])
            self.assertEqual(done.returncode, 64)
            self.assertIn(text, done.stderr)
        self.assertEqual(adit.run([adit.binary("adit"), "exec"]).returncode, 64)
        done = adit.run([adit.binary("adit"), "exec", "--credentials", self.client, "true"])
        self.assertEqual(done.returncode, 78)


if __name__ == "__main__":
    main()
