# SPDX-License-Identifier: Apache-2.0
"""What agent and edge give up once they are set up, and that they do their work without it.

That no system call is missing is shown by all the other tests, too: they run with ADIT_SECCOMP=kill
(support/process.py). Here the daemons also run as in production, where a refused call is logged.
"""

import ctypes
import os
import signal

from support import adit, origin
from support.case import Case, main
from support.process import free_port
from support.require import need
from support.stack import Stack, serve
from support.waiting import wait_until

NONE = "0000000000000000"
REFUSED = "a system call was refused"


def landlock_here():
    """False where the kernel has none: tests of it are skipped."""
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) > 0


class Confinement(Case):
    def threads(self, pid):
        """The status of each thread as a dictionary."""
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
                yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)

    def check_threads(self, process, n_min):
        found = list(self.threads(process.pid))
        self.assertGreaterEqual(len(found), n_min)
        filtered = "0" if "built with a sanitizer" in process.log() else "2"
        for status in found:
            for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(status[key], NONE, (status["Name"], key))
            if os.geteuid() == 0:
                self.assertEqual(status["CapBnd"], NONE, status["Name"])
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], filtered)

    def live(self, stack):
        """What both do in their lives, and asks of the control socket."""
        agent, edge = stack.agent, stack.edge
        self.assertEqual(stack.connect(b"there and back\n").stdout, b"there and back\n")
        agent.configure(adit.routes(*stack.routes, adit.route("10.116.9.0/24")))
        self.assertEqual(agent.reload().returncode, 0)
        agent.wait_accepted()
        self.assertEqual(agent.command("log-level", "debug").returncode, 0)
        edge.admin("log-level", "debug")
        for command in ("events", "connections", "routes"):
            self.assertEqual(agent.command(command).returncode, 0, command)
        for command in (("reload",), ("connections",), ("tunnel", "list"), ("cert", "renew"),
                        ("client", "add", "bob", "--output", self.path("bob.json"), "--edge",
                         edge.address)):
            argv = [adit.binary("adit-edge"), *command]
            argv += ["--state-directory", edge.folder] if command[0] == "cert" else [
                "--socket", edge.socket]
            adit.check(argv)
        with open(edge.config, "a", encoding="ascii") as f:
            f.write("loglevel: warn\n")
        edge.process.signal(signal.SIGHUP)
        agent.configure(adit.routes(*stack.routes))
        agent.hang_up()
        wait_until(lambda: "warn" in edge.admin("log-level"), "the edge's reload")
        wait_until(lambda: len(agent.routes()) == 1, "the agent's reload")
        # A new connection, by the renewed certificate.
        self.assertEqual(stack.connect(b"and again\n").stdout, b"and again\n")

    def test_threads_have_nothing(self):
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        # The reload has made libuv's pool, the edge its store's worker.
        self.live(stack)
        self.check_threads(stack.agent.process, 2)
        self.check_threads(stack.edge.process, 2)
        for process in (stack.agent.process, stack.edge.process):
            self.assertEqual(process.terminate(), 0)

    def test_production(self):
        """Without ADIT_SECCOMP a call that was forgotten fails and is logged: none is."""
        server = serve(self, origin.echo)
        stack = Stack(self, server.port, start=False)
        stack.edge.process.terminate()
        stack.edge.start(env={"ADIT_SECCOMP": None})
        stack.agent.start(env={"ADIT_SECCOMP": None}).wait_state("Healthy")
        stack.agent.wait_accepted()
        self.live(stack)
        self.check_threads(stack.agent.process, 2)
        self.check_threads(stack.edge.process, 2)
        for process in (stack.agent.process, stack.edge.process):
            self.assertEqual(process.terminate(), 0)
            self.assertNotIn(REFUSED, process.log())

    def test_a_mode_that_there_is_not(self):
        stack = Stack(self, 7, start=False)
        stack.edge.process.terminate()
        for daemon in (stack.edge, stack.agent):
            daemon.start(env={"ADIT_SECCOMP": "Off"})
            daemon.process.wait_log("ADIT_SECCOMP is neither")
            self.check_threads(daemon.process, 1)

    def test_strangers_command(self):
        """Who is neither root nor the daemon's user may look and not change."""
        need("root")
        stack = Stack(self, 7)
        os.chmod(self.tmp, 0o711)
        for program, daemon in (("adit", stack.agent), ("adit-edge", stack.edge)):
            os.chmod(daemon.folder, 0o711)
            argv = ["setpriv", "--reuid=65534", "--regid=0", "--clear-groups",
                    adit.binary(program)]
            adit.check([*argv, "status", "--socket", daemon.socket])
            done = adit.run([*argv, "reload", "--socket", daemon.socket])
            self.assertEqual(done.returncode, 1)
            self.assertIn("needs the daemon's own user (uid 0) or root", done.stderr)

    def test_outlives_a_stop(self):
        """SIGCONT may end a call by restart_syscall."""
        server = serve(self, origin.echo)
        stack = Stack(self, server.port)
        for process in (stack.agent.process, stack.edge.process):
            process.signal(signal.SIGSTOP)
            wait_until(lambda p=process: next(self.threads(p.pid))["State"].startswith("T"),
                       "the stop")
            process.signal(signal.SIGCONT)
        self.assertEqual(stack.connect(b"still here\n").stdout, b"still here\n")


class CaKey(Case):
    """Each of its folders is where nothing else is, as in /etc, /run and /var/lib."""

    def make(self, prefix=(), owner=None):
        for folder in ("etc", "run", "lib", "lib/edge"):
            os.mkdir(self.path(folder))
        if owner:
            os.chmod(self.tmp, 0o711)
            for folder in ("run", "lib/edge"):
                os.chown(self.path(folder), owner, owner)
        self.state, self.key = self.path("lib/edge"), self.path("lib/edge-ca/ca-key.pem")
        self.socket = self.path("run/edge.sock")
        adit.check([adit.binary("adit-edge"), "init", "--state-directory", self.state + "/",
                    "--ip", "127.0.0.1"])
        self.address = f"127.0.0.1:{free_port()}"
        self.configure()
        self.edge = self.start("edge", [*prefix, adit.binary("adit-edge"), "run", "--config",
                                        self.path("etc/edge.yml")])
        wait_until(lambda: self.ask("status").returncode == 0, "the edge to answer",
                   show=self.edge.log_tail)

    def configure(self, more=""):
        self.write("etc/edge.yml", f"listen: {self.address}\nstate-directory: {self.state}\n"
                                   f"control-socket: {self.socket}\n{more}", mode=0o644)

    def ask(self, *argv):
        return adit.run([adit.binary("adit-edge"), *argv, "--socket", self.socket])

    def renew(self):
        adit.check([adit.binary("adit-edge"), "cert", "renew", "--state-directory", self.state])

    def test_edge_cannot_open_it(self):
        """Who tells the edge to use that key shows what it can read."""
        if not landlock_here():
            self.skipTest("this kernel has no Landlock")
        self.make()
        if "built with a sanitizer" in self.edge.log():
            self.skipTest("built with a sanitizer")
        self.configure(f"key: {self.key}\n")
        done = self.ask("reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"key: {self.key}: Permission denied", done.stderr)
        self.assertIn("restart it", done.stderr)
        # A renewed pair is a pair of new files, and they can be read.
        self.configure()
        self.renew()
        self.assertEqual(self.ask("reload").returncode, 0)

    def test_beside_the_configuration(self):
        """An area is a folder: not where the CA's folder lies in it, too."""
        if not landlock_here():
            self.skipTest("this kernel has no Landlock")
        stack = Stack(self, 7, edge_settings=f"access-log: {self.path('access.log')}\n")
        edge = stack.edge
        if "built with a sanitizer" in edge.process.log():
            self.skipTest("built with a sanitizer")
        key = os.path.join(edge.folder + "-ca", "ca-key.pem")
        self.assertTrue(os.path.exists(key))
        with open(edge.config, encoding="ascii") as f:
            text = f.read()
        for name in ("--config", "access-log"):
            self.assertIn(f"{name}: the folder of ", edge.process.log())
        with open(edge.config, "w", encoding="ascii") as f:
            f.write(text + f"key: {key}\n")
        done = edge.try_admin("reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"key: {key}: Permission denied", done.stderr)
        # The file itself stays within reach.
        with open(edge.config, "w", encoding="ascii") as f:
            f.write(text)
        self.assertEqual(edge.try_admin("reload").returncode, 0)

    def test_owner(self):
        """Run by root, it is root's; the edge's user owns the folder of the other files."""
        need("root")
        nobody = 65534
        self.make(["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"], nobody)
        for _ in range(2):
            for name in ("cert.pem", "key.pem", "ca.pem"):
                self.assertEqual(os.stat(os.path.join(self.state, name)).st_uid, nobody, name)
            status = os.stat(self.key)
            self.assertEqual((status.st_uid, status.st_mode & 0o777), (0, 0o600))
            self.assertEqual(os.stat(os.path.dirname(self.key)).st_mode & 0o777, 0o700)
            self.renew()
            self.assertEqual(self.ask("reload").returncode, 0)

    def test_renewal_takes_it_away(self):
        """An edge of before had the key in its state folder."""
        self.make()
        old = os.path.join(self.state, "ca-key.pem")
        os.rename(self.key, old)
        os.rmdir(os.path.dirname(self.key))
        self.renew()
        self.assertFalse(os.path.exists(old))
        self.assertTrue(os.path.exists(self.key))
        self.assertEqual(self.ask("reload").returncode, 0)


if __name__ == "__main__":
    main()
