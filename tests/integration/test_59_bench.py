# SPDX-License-Identifier: Apache-2.0
"""bench/run measures what it says, drives a connector by cloudflared's command line, and reports what
it could not do. No figure is judged."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree

from support import adit
from support.case import Case, main
from support.require import need

BENCH = os.path.join(os.environ.get("ADIT_SOURCE_DIR", "."), "bench")
AS_CLOUDFLARED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers",
                              "as_cloudflared.sh")


class BenchTest(Case):
    def setUp(self):
        need("netns", "root")
        super().setUp()

    def bench(self, *argv):
        build = os.environ["ADIT_BUILD_DIR"]
        return subprocess.run((sys.executable, os.path.join(BENCH, "run"), build, *argv),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=250, env={**os.environ, "ADIT_PROGRAM": adit.binary("adit")})

    def measure(self, rows, *argv):
        """{id: row} of a short run, and what was printed."""
        path = self.path("bench.json")
        done = self.bench("--rows", rows, "--pairs", "1", "--mib", "1", "--json", path, *argv)
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(path, encoding="utf-8") as f:
            written = json.load(f)
        for fact in ("processor", "kernel", "load", "date", "compiler"):
            self.assertTrue(written["machine"][fact], fact)
        return {row["id"]: row for row in written["rows"]}, done.stdout

    def test_subject_and_baselines(self):
        rows, text = self.measure("^(out-256k|in-plain|return|size|edge-out)$")
        for row in rows.values():
            self.assertIsNotNone(row["value"], text)
            self.assertIn(row["verdict"], ("aim", "met", "MISSED"))
        self.assertGreater(rows["out-256k"]["baseline"], 0)
        self.assertIn("MiB per transfer", text)

    def test_in_namespaces(self):
        need("tun")
        rows, text = self.measure("^(up-out|udp-echo|far-in)$", "--path-runs", "1")
        self.assertEqual(len(rows), 3, text)
        for row in rows.values():
            self.assertIsNotNone(row["value"], text)

    def test_a_peer_through_the_same_edge(self):
        rows, text = self.measure("^peer-(out-8|in-1|ping|start|return|idle)$", "--peer",
                                  AS_CLOUDFLARED)
        self.assertEqual(len(rows), 6, text)
        for row in rows.values():
            self.assertIsNotNone(row["value"], text)
            self.assertGreater(row["baseline"], 0, text)

    def test_what_is_missing_is_said(self):
        rows, text = self.measure("^peer-ping$", "--peer", "/bin/false")
        self.assertIsNone(rows["peer-ping"]["value"])
        self.assertIn("the peer ended, status 1: it said nothing", rows["peer-ping"]["reason"])
        self.assertIn("not measured", text)

    def test_what_cannot_be_measured_is_said_first(self):
        for argv, said in ((("--rows", "nonsense"), "no row is called nonsense"),
                           (("--rows", "("), "no regular expression"),
                           (("--rows", "^peer-ping$"), "needs PEER="),
                           (("--peer", self.path("nothing")), "isn't a program"),
                           (("--json", self.path("no", "such", "folder")), "can't be written"),
                           (("--pairs", "0"), "must be 1 or more")):
            done = self.bench(*argv)
            self.assertNotEqual(done.returncode, 0, argv)
            self.assertIn(said, done.stdout)
            self.assertNotIn("Traceback", done.stdout)

    def test_charts_are_xml(self):
        self.measure("^(out-256k|rate-out-adit)$")
        subprocess.run((sys.executable, os.path.join(BENCH, "plot"), self.path("bench.json"),
                        self.path("charts")), check=True, timeout=60)
        self.assertEqual(sorted(os.listdir(self.path("charts"))), ["goals.svg", "throughput.svg"])
        for name in os.listdir(self.path("charts")):
            xml.etree.ElementTree.parse(self.path("charts", name))


if __name__ == "__main__":
    main()
