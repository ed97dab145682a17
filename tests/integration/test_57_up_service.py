# SPDX-License-Identifier: Apache-2.0
"""`adit up` under systemd, which is played by the test."""

from support import sites
from support.case import Case, main
from support.notifications import Notifications
from support.require import need
from support.up import Up


class ServiceTest(Case):
    def setUp(self):
        need("root", "netns", "tun")
        super().setUp()
        self.notify = Notifications(self)
        self.lab = sites.Lab(self, sites.Sites(self), sites_up=("a",))

    def up(self):
        return Up(self, self.lab, env={"NOTIFY_SOCKET": self.notify.path})

    def test_ready_when_routes_are_there(self):
        up = self.up().wait_up()
        self.notify.wait("READY", "1")
        self.assertIn("2 routes through adit", self.notify.having("STATUS")[-1]["STATUS"])
        self.assertEqual(up.process.terminate(), 0)
        self.notify.wait("STOPPING", "1")
        self.assertEqual(len(self.notify.having("READY")), 1)

    def test_ready_without_an_edge(self):
        """An edge that is away must not make systemd kill and restart it; 10 s are enough."""
        self.lab.edge.kill()
        up = self.up()
        self.notify.wait("READY", "1")
        self.assertTrue(up.process.running())
        self.lab.edge.start()
        self.lab.agents["a"].wait_state("Healthy")
        up.wait_up()
        self.assertEqual(len(self.notify.having("READY")), 1)


main()
