# SPDX-License-Identifier: Apache-2.0
"""The test plays systemd: notifications, watchdog, credentials, reload."""

import os
import shutil
import signal

from support import adit, origin
from support.case import Case, main
from support.stack import Stack, serve
from support.notifications import Notifications
from support.waiting import wait_until


class ServiceTest(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.notify = Notifications(self)

    def stack(self, start=True, **env):
        stack = Stack(self, self.server.port, start=False)
        self.environment = {"NOTIFY_SOCKET": self.notify.path, **env}
        if start:
            stack.agent.start(env=self.environment)
        return stack

    def test_ready_at_the_first_registration(self):
        stack = self.stack()
        self.notify.wait("READY", "1")
        self.assertIn(stack.agent.state(), ("Healthy", "Degraded"))
        stack.agent.wait_state("Healthy")
        wait_until(lambda: any("Healthy" in m["STATUS"] for m in self.notify.having("STATUS")),
                   "the health line in STATUS")
        self.assertEqual(len(self.notify.having("READY")), 1)
        self.assertEqual(stack.agent.terminate(), 0)
        self.notify.wait("STOPPING", "1")

    def test_ready_without_an_edge(self):
        """An edge that is away must not make systemd kill and restart the agent."""
        stack = self.stack(start=False)
        stack.edge.kill()
        stack.agent.start(env=self.environment)
        self.notify.wait("READY", "1")
        self.assertEqual(stack.agent.state(), "Inactive")
        self.assertTrue(stack.agent.process.running())

    def test_reload(self):
        stack = self.stack()
        stack.agent.wait_state("Healthy")
        self.notify.wait("READY", "1")
        for n, good in enumerate((True, False)):
            n = len(self.notify.messages)
            stack.agent.configure("" if good else "nonsense: [\n")
            done = stack.agent.reload()
            self.assertEqual(done.returncode == 0, good, done.stderr)
            reloading = self.notify.wait("RELOADING", "1", n)
            began = int(reloading["MONOTONIC_USEC"])
            self.assertLessEqual(began, reloading["arrived_us"])
            ready = self.notify.wait("READY", "1", n)
            self.assertGreaterEqual(ready["arrived_us"], reloading["arrived_us"])
        self.assertEqual(stack.agent.state(), "Healthy")

    def test_watchdog(self):
        stack = self.stack(WATCHDOG_USEC="400000")
        wait_until(lambda: len(self.notify.having("WATCHDOG", "1")) >= 5, "five keep-alives")
        # Another process's watchdog is not ours.
        stack.agent.terminate()
        n = len(self.notify.messages)
        stack.agent.start(env={**self.environment, "WATCHDOG_PID": "1"})
        stack.agent.wait_state("Healthy")
        self.assertEqual(self.notify.having("WATCHDOG", since=n), [])

    def test_edge_notifies_too(self):
        edge = adit.Edge(self)
        edge.start(env={"NOTIFY_SOCKET": self.notify.path, "WATCHDOG_USEC": "400000"})
        self.notify.wait("READY", "1")
        self.notify.wait("WATCHDOG", "1")
        edge.process.signal(signal.SIGTERM)
        self.assertEqual(edge.process.wait(), 0)
        self.notify.wait("STOPPING", "1")


class CredentialsTest(Case):
    """Where the tunnel's secret may come from."""

    def setUp(self):
        super().setUp()
        self.edge = adit.Edge(self).start()
        self.tunnel = self.edge.create_tunnel()

    def agent(self, credentials="/nonexistent", name="agent"):
        agent = adit.Agent(self, self.edge.address, self.edge.ca_file, credentials, name=name,
                           settings="ha-connections: 1\n")
        if credentials == "/nonexistent":
            agent.head = agent.head.replace("credentials-file: /nonexistent\n", "")
            agent.configure(settings="ha-connections: 1\n")
        return agent

    def token(self):
        return self.edge.admin("tunnel", "token", "t1").strip().splitlines()[-1].split()[-1]

    def test_credentials_directory(self):
        folder = self.path("credentials")
        os.mkdir(folder, 0o700)
        shutil.copy(self.tunnel, os.path.join(folder, "credentials.json"))
        os.chmod(os.path.join(folder, "credentials.json"), 0o400)
        agent = self.agent()
        agent.start(env={"CREDENTIALS_DIRECTORY": folder}).wait_state("Healthy")
        self.assertEqual(agent.terminate(), 0)
        os.unlink(os.path.join(folder, "credentials.json"))
        self.write("credentials/token", self.token() + "\n", 0o400)
        agent.start(env={"CREDENTIALS_DIRECTORY": folder}).wait_state("Healthy")

    def test_token_in_the_environment(self):
        token = self.token()
        agent = self.agent().start(env={"TUNNEL_TOKEN": token})
        agent.wait_state("Healthy")
        # Only root may look: the agent isn't dumpable.
        if os.geteuid() == 0:
            with open(f"/proc/{agent.process.pid}/environ", "rb") as f:
                self.assertNotIn(token.encode(), f.read(), "not wiped")
        else:
            with self.assertRaises(PermissionError):
                open(f"/proc/{agent.process.pid}/environ", "rb")
        self.assertNotIn(token, agent.process.log())

    def test_unsafe_files_are_refused(self):
        link = self.path("link.json")
        os.symlink(self.tunnel, link)
        os.mkfifo(self.path("fifo.json"), 0o600)
        cases = [(self.write("wide.json", open(self.tunnel, "rb").read(), 0o640), "chmod"),
                 (link, "link"), (self.path("fifo.json"), "file"),
                 (self.path("absent.json"), "absent.json"),
                 (self.write("bad.json", "{"), "bad.json"),
                 (self.write("empty.json", ""), "empty.json")]
        os.chmod(cases[0][0], 0o640)
        for i, (path, word) in enumerate(cases):
            with self.subTest(os.path.basename(path)):
                agent = self.agent(path, name=f"agent{i}").start()
                self.assertEqual(agent.process.wait(), 78)
                self.assertIn(os.path.basename(path), agent.process.log())
                self.assertIn(word, agent.process.log())


if __name__ == "__main__":
    main()
