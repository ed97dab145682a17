# SPDX-License-Identifier: Apache-2.0
"""The static build: one file without shared libraries and name services, which does an agent's work."""

import os
import re

from support import adit, origin
from support.case import Case, main
from support.require import need
from support.stack import HOST

BUILD_S = 250


def build():
    """Beside the build under test, so that only the first run compiles all of it."""
    source = os.environ["ADIT_SOURCE_DIR"]
    folder = os.path.join(os.environ["ADIT_BUILD_DIR"], "static")
    # Colours and flags of the build under test would be another agent than users get.
    env = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS", "CC")}
    for argv in (["cmake", "-S", source, "--preset", "static", "-B", folder],
                 ["cmake", "--build", folder]):
        adit.check(argv, timeout=BUILD_S, cwd=source, env=env)
    return os.path.join(folder, "cmd", "adit")


class StaticTest(Case):
    def setUp(self):
        need("static")
        super().setUp()
        self.program = build()

    def output(self, *argv):
        return adit.check(argv)

    def test_needs_nothing_of_the_host(self):
        self.assertNotIn("NEEDED", self.output("readelf", "-d", self.program))
        self.assertNotIn("INTERP", self.output("readelf", "-lW", self.program))
        # glibc's lookups of names and users load shared libraries even here: none may be in it.
        symbols = self.output("nm", self.program)
        self.assertIn(" ares_getaddrinfo", symbols)
        self.assertEqual(re.findall(r" (?:__nss_\w+|_nss_files_\w+|gaih_inet)", symbols), [])

    def test_is_the_agent_alone(self):
        words = self.output(self.program, "--help")
        self.assertIn("run the agent", words)
        self.assertNotIn("ProxyCommand", words)
        self.assertEqual(adit.run([self.program, "up"]).returncode, 64)

    def test_carries_streams_and_looks_names_up(self):
        server = origin.Origin(origin.echo)
        self.addCleanup(server.close)
        edge = adit.Edge(self).start()
        agent = adit.Agent(self, f"localhost:{edge.port}", edge.ca_file, edge.create_tunnel(),
                           adit.routes(adit.route(f"{HOST}/32", via=f"127.0.0.1:{server.port}")),
                           settings="edge-server-name: 127.0.0.1\n")
        agent.process = self.start("agent", [self.program, "run", "--config", agent.config])
        agent.wait_state("Healthy")
        agent.wait_accepted()
        done = adit.connect(HOST, 22, edge.create_client(), b"through one file\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"through one file\n"))
        self.assertEqual(self.output(self.program, "status", "--socket", agent.socket).split()[0],
                         "Healthy")
        row = agent.routes()[0]
        self.assertEqual(row["state"], "accepted")
        self.assertNotIn("reachable", row, "without libmnl nothing is known of the host's routes")


main()
