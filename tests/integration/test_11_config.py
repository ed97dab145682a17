# SPDX-License-Identifier: Apache-2.0
"""`config check` and `config show` of both programs: all problems at once, exit 78, and what
cloudflared's users have loads once the edge is named."""

import glob
import os
import subprocess
import unittest

from support.case import Case, main

BIN = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd")
SHAPES = os.path.join(os.environ["ADIT_SOURCE_DIR"], "tests", "data", "cloudflared")
BAD_CONFIG = 78
USAGE = 64


def run(program, *argv, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TUNNEL_", "ADIT_CONTROL"))}
    return subprocess.run([os.path.join(BIN, program), *argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, env={**clean, **(env or {})})


class AgentConfig(Case):
    def test_all_problems_at_once(self):
        path = self.write("c.yml", "ha-connections: 99\nroutes:\n  - network: 10.1.2.3/8\n"
                                   "lglevel: info\n")
        done = run("adit", "config", "check", path)
        self.assertEqual((done.returncode, done.stdout), (BAD_CONFIG, ""))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 4, done.stderr)
        self.assertIn("edge: missing; add the line", lines[0])
        self.assertTrue(lines[1].startswith(f"{path}:1: ha-connections: must be from 1 to 16"))
        self.assertTrue(lines[2].startswith(f"{path}:3: routes[0].network: "))
        self.assertIn("10.0.0.0/8 is meant", lines[2])
        self.assertEqual(lines[3], f'{path}:4: lglevel: unknown key; did you mean "loglevel"?')

    def test_file_that_is_not_there(self):
        done = run("adit", "config", "check", self.path("none.yml"))
        self.assertEqual(done.returncode, BAD_CONFIG)
        self.assertIn("No such file or directory", done.stderr)

    def test_bytes_that_are_no_text(self):
        done = run("adit", "config", "check", self.write("c.yml", bytes(range(256)) * 4))
        self.assertEqual(done.returncode, BAD_CONFIG)
        self.assertIn("not valid YAML", done.stderr)

    def test_cloudflared_files(self):
        paths = sorted(glob.glob(os.path.join(SHAPES, "*.yml")))
        self.assertEqual(len(paths), 5)
        for path in paths:
            with self.subTest(os.path.basename(path)):
                self.assertEqual(run("adit", "config", "check", path).returncode, BAD_CONFIG)
                by_flag = run("adit", "config", "check", "--edge", "localhost:7844", path)
                by_env = run("adit", "config", "check", path, env={"TUNNEL_EDGE": "localhost:1"})
                with open(path, encoding="utf-8") as file:
                    named = self.write("named.yml", file.read() + "edge: localhost:7844\n")
                by_file = run("adit", "config", "check", named)
                for done in (by_flag, by_env, by_file):
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertTrue(all(": warning: " in s for s in done.stderr.splitlines()))
                self.assertEqual(by_flag.stdout, f"{path}: ok\n")

    def test_show_is_a_configuration(self):
        path = self.write("c.yml", "edge: '[::1]:7844'\nroutes: [{network: 10.116.0.3, "
                                   "via: '127.0.0.1:22', comment: \"the \\\"host\\\"\"}]\n")
        first = run("adit", "config", "show", path)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        second = run("adit", "config", "show", self.write("again.yml", first.stdout))
        self.assertEqual((second.returncode, second.stdout), (0, first.stdout))
        self.assertIn("ha-connections: 4\n", first.stdout)

    def test_usage(self):
        self.assertEqual(run("adit", "config", "check", "a", "b").returncode, USAGE)
        self.assertEqual(run("adit", "config", "chekc").returncode, USAGE)


@unittest.skipUnless(os.path.exists(os.path.join(BIN, "adit-edge")), "adit-edge isn't built")
class EdgeConfig(Case):
    def test_check_and_show(self):
        path = self.write("e.yml", "listen: 127.0.0.1:7844\nlimits: {max-clients: 5}\n")
        self.assertEqual(run("adit-edge", "config", "check", path).stdout, f"{path}: ok\n")
        shown = run("adit-edge", "config", "show", path)
        again = run("adit-edge", "config", "show", self.write("again.yml", shown.stdout))
        self.assertEqual((again.returncode, again.stdout), (0, shown.stdout))

    def test_problems(self):
        path = self.write("e.yml", "listen: everywhere\nlimits: {max-client: 5}\n")
        done = run("adit-edge", "config", "check", path)
        self.assertEqual(done.returncode, BAD_CONFIG)
        self.assertEqual(len(done.stderr.splitlines()), 2)
        self.assertIn('did you mean "max-clients"?', done.stderr)


main()
