# SPDX-License-Identifier: Apache-2.0
"""Real OpenSSH through client, edge and agent."""

import hashlib
import os
import shlex
import subprocess
import threading

from support import origin
from support.adit import route, routes
from support.case import Case, main
from support.require import need
from support.sshd import Sshd
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until

BIG = 100_000_000
STALLED_HOST, ECHO_HOST = "10.116.0.4", "10.116.0.5"
TIMEOUT_S = 240


def digest_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class SshTest(Case):
    def setUp(self):
        need("sshd")
        super().setUp()
        self.sshd = Sshd(self)
        self.stack = Stack(self, self.sshd.port)
        self.proxy = shlex.join(self.stack.connect_argv("%h", "%p"))
        self.options = self.sshd.ssh_options(self.proxy)
        self.target = f"{self.sshd.user}@{HOST}"

    def ssh(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(["ssh", *self.options, self.target, *command],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=TIMEOUT_S, **options)

    def tool(self, *argv, **options):
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT_S, **options)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))

    def test_login_and_exit_status(self):
        done = self.ssh("echo $SSH_CONNECTION; exit 7")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn(b"127.0.0.1", done.stdout)
        done = self.ssh("kill -TERM $$")
        self.assertNotEqual(done.returncode, 0)

    def test_login_with_a_terminal(self):
        """A login shell, driven by its stdin."""
        need("pty")
        done = subprocess.run(["ssh", "-tt", *self.options, self.target], input=b"tty\nexit 3\n",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"/dev/pts/", done.stdout)

    def test_100_mb_on_stdin_and_stdout_at_once(self):
        data = origin.pattern(BIG)
        done = self.ssh("cat", input=data, stdin=None)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout), BIG)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    def test_scp_sftp_rsync(self):
        need("rsync")
        sent = self.write("sent", origin.pattern(20_000_000))
        want = digest_file(sent)
        up, down = self.path("up"), self.path("down")
        self.tool("scp", "-q", *self.options, sent, f"{self.target}:{up}")
        self.assertEqual(digest_file(up), want)
        self.tool("scp", "-q", *self.options, f"{self.target}:{up}", down)
        self.assertEqual(digest_file(down), want)

        batch = self.write("batch", f"put {sent} {up}2\nget {up}2 {down}2\n")
        self.tool("sftp", "-q", *self.options, "-b", batch, self.target)
        self.assertEqual(digest_file(down + "2"), want)

        tree, copy = self.path("tree"), self.path("copy")
        os.mkdir(tree)
        for i in range(200):
            self.write(f"tree/file{i}", origin.pattern(i * 37, seed=i))
        shell = shlex.join(["ssh", *self.options])
        self.tool("rsync", "-a", "-e", shell, f"{tree}/", f"{self.target}:{copy}/")
        self.write("tree/file7", b"changed")
        self.tool("rsync", "-a", "--delete", "-e", shell, f"{tree}/", f"{self.target}:{copy}/")
        self.tool("diff", "-r", tree, copy)

    def test_50_sessions_at_once(self):
        # Each says that it is in, then waits for its line: all 50 are open together.
        sessions = [subprocess.Popen(
            ["ssh", *self.options, self.target, "echo in; read line; echo out $line"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) for _ in range(50)]
        try:
            for s in sessions:
                self.assertEqual(s.stdout.readline(), b"in\n")
            for i, s in enumerate(sessions):
                s.stdin.write(b"%d\n" % i)
            for i, s in enumerate(sessions):
                out, _ = s.communicate(timeout=TIMEOUT_S)
                self.assertEqual((out, s.returncode), (b"out %d\n" % i, 0))
        finally:
            for s in sessions:
                s.kill()
                s.communicate()
        self.assertEqual(self.stack.agent.state(), "Healthy")

    def test_session_ends_with_its_sshd_process(self):
        """The origin dies under an open session: ssh says so and ends; others live."""
        other = subprocess.Popen(["ssh", *self.options, self.target, "echo in; cat"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        self.assertEqual(other.stdout.readline(), b"in\n")
        done = self.ssh("kill -KILL $PPID")
        self.assertEqual(done.returncode, 255)
        out, _ = other.communicate(b"still\n", timeout=TIMEOUT_S)
        self.assertEqual((out, other.returncode), (b"still\n", 0))


class StreamsTest(Case):
    """What ssh can't show: one connection, so that streams share it."""

    def setUp(self):
        super().setUp()
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.reset = serve(self, origin.reset)
        self.stall = serve(self, origin.stall(self.release), receive_buffer=65536)
        self.echo = serve(self, origin.echo)
        self.stack = Stack(self, self.reset.port, "ha-connections: 1\n", start=False)
        self.stack.agent.configure(routes(
            route(f"{HOST}/32", via=f"127.0.0.1:{self.reset.port}"),
            route(f"{STALLED_HOST}/32", via=f"127.0.0.1:{self.stall.port}"),
            route(f"{ECHO_HOST}/32", via=f"127.0.0.1:{self.echo.port}")), "ha-connections: 1\n")
        self.stack.agent.start().wait_state("Healthy")
        self.stack.agent.wait_accepted()

    def test_origin_reset(self):
        echo = self.stack.popen(ECHO_HOST)
        echo_line(echo, "before")
        done = self.stack.connect(b"x")
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stderr.strip())
        echo_line(echo, "after")

    def test_stalled_readers_slow_no_other_stream(self):
        """Three streams whose origins don't read, far more bytes than all windows hold; a
        fourth goes on, up and down, on the same connection."""
        stalled = [self.stack.popen(STALLED_HOST) for _ in range(3)]
        data = origin.pattern(64 << 20)

        def push(process):
            try:
                process.stdin.write(data)
                process.stdin.close()
            except OSError:
                pass
        for process in stalled:
            self.thread(push, process)

        def stuck():
            sent = self.stack.agent.connections()[0]["bytes_in"]
            previous, stuck.sent = stuck.sent, sent
            return sent > 1 << 20 and sent == previous
        stuck.sent = 0
        echo = self.stack.popen(ECHO_HOST)
        echo_line(echo, "at first")
        wait_until(lambda: self.stall.accepted == 3 and stuck(), "the stalled streams to fill up")
        big = origin.pattern(8 << 20, seed=2)
        done = self.stack.connect(big, ECHO_HOST)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, big)
        echo_line(echo, "still")
        self.assertEqual(self.stack.agent.state(), "Healthy")
        self.release.set()
        for process in stalled:
            self.assertEqual(process.wait(), 0, process.log_tail())


if __name__ == "__main__":
    main()
