# SPDX-License-Identifier: Apache-2.0
"""What happened and happens: `adit events`, `status --watch`, `log-level`."""

import json
import os
import signal
import socket
import subprocess
import threading

from peers import edge as scripted
from support import origin
from support.adit import Agent, binary, run, write_credentials
from support.case import Case, main
from support.require import need
from support.stack import Stack, serve
from support.tlsca import Authority
from support.waiting import wait_until

FOLLOWERS_MAX = 16
RING = 512


class Reader:
    """The lines of a running program's stdout, as they come."""

    def __init__(self, case, name, argv, **options):
        self.process = case.start(name, argv, stdout=subprocess.PIPE, **options)
        self.lines = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        case.addCleanup(self._thread.join, 60)
        case.addCleanup(self.process.close)

    def _run(self):
        for line in self.process.stdout:
            self.lines.append(line.decode())

    def wait(self, condition, what):
        """The first line for which @condition is true."""
        return wait_until(lambda: next((li for li in list(self.lines) if condition(li)), None),
                          what, show=lambda: "".join(self.lines))


class Raw:
    """A client of the control socket itself."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def say(self, command, **args):
        self.socket.sendall(json.dumps({"v": 1, "command": command,
                                        "args": args}).encode() + b"\n")

    def hear(self):
        return json.loads(self.file.readline())

    def close(self):
        self.file.close()
        self.socket.close()


def events_of(agent, *argv):
    done = agent.command("events", "--json", *argv)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


class EventsTest(Case):
    def setUp(self):
        super().setUp()
        self.stack = Stack(self, serve(self, origin.echo).port)
        self.agent = self.stack.agent

    def of_kind(self, kind, *argv):
        return [e["fields"] for e in events_of(self.agent, *argv) if e["kind"] == kind]

    def argv(self, command, *argv):
        return [binary("adit"), command, *argv, "--socket", self.agent.socket,
                "--state-directory", self.agent.folder]

    def raw(self):
        client = Raw(self.agent.socket)
        self.addCleanup(client.close)
        return client

    def test_what_a_start_tells(self):
        events = events_of(self.agent)
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[0]["kind"], "started")
        self.assertEqual(sorted(f["index"] for f in self.of_kind("registered")), [0, 1, 2, 3])
        self.assertEqual(self.of_kind("registered")[0]["edge"], self.stack.edge.address)
        self.assertEqual(self.of_kind("health")[-1],
                         {"state": "Healthy", "registered": 4, "expected": 4})
        self.assertEqual(self.of_kind("routes"), [{"accepted": 1, "refused": 0}])
        times = [e["time_ms"] for e in events]
        self.assertEqual(times, sorted(times))
        since = events_of(self.agent, "--since", "2")
        self.assertEqual([e["seq"] for e in since], [e["seq"] for e in events[2:]])

    def test_for_people(self):
        done = self.agent.command("events")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?m)^20\S+Z  registered +index=0 edge=127\.0\.0\.1:\d+")
        self.assertEqual(self.agent.command("events", "--since", "1x").returncode, 64)

    def test_refused_route_and_reload(self):
        self.agent.configure("routes:\n  - network: 10.200.0.0/16\n", "loglevel: debug\n")
        self.assertEqual(self.agent.reload().returncode, 0)
        wait_until(lambda: self.of_kind("route-refused"), "the refusal")
        refused = self.of_kind("route-refused")[0]
        self.assertEqual(refused["network"], "10.200.0.0/16")
        self.assertTrue(refused["reason"])
        self.assertEqual(set(self.of_kind("reload")[0]["changed"].split(",")),
                         {"routes", "loglevel"})
        self.agent.configure("routs: 1\n")
        self.assertEqual(self.agent.reload().returncode, 1)
        self.assertIn("routs", self.of_kind("reload-failed")[0]["reason"])

    def test_lost_connections(self):
        self.stack.edge.kill()
        self.agent.wait_state("Down")
        wait_until(lambda: len({f["index"] for f in self.of_kind("connection")
                                if f["state"] == "backoff"}) == 4, "all four losses")
        self.assertEqual(self.of_kind("health")[-1]["state"], "Down")
        self.assertTrue(all(f["reason"] for f in self.of_kind("connection")))

    def test_follow(self):
        reader = Reader(self, "follow", self.argv("events", "--follow", "--json"))
        reader.wait(lambda line: '"kind":"routes"' in line.replace(" ", ""), "what there was")
        self.agent.configure("", "loglevel: warn\n")
        self.assertEqual(self.agent.reload().returncode, 0)
        reader.wait(lambda line: json.loads(line)["kind"] == "reload", "the reload")
        self.agent.terminate()
        reader.wait(lambda line: json.loads(line)["kind"] == "stopping", "the end")
        self.assertEqual(reader.process.wait(), 1)
        self.assertIn("ended the stream", reader.process.log())
        seqs = [json.loads(line)["seq"] for line in reader.lines]
        self.assertEqual(seqs, list(range(1, len(seqs) + 1)))

    def test_follow_from_now(self):
        last = events_of(self.agent)[-1]["seq"]
        reader = Reader(self, "follow", self.argv("events", "--follow", "--since", str(last)))
        self.assertEqual(self.agent.command("log-level", "warn").returncode, 0)
        line = reader.wait(lambda line: True, "the first event")
        self.assertIn("log-level", line)
        reader.process.signal(signal.SIGINT)
        self.assertEqual(reader.process.wait(), -signal.SIGINT)

    def test_followers_are_bounded_and_leave(self):
        followers = [self.raw() for _ in range(FOLLOWERS_MAX)]
        for client in followers:
            client.say("events", follow=True)
            self.assertEqual(client.hear()["event"]["seq"], 1)
        one_more = self.raw()
        one_more.say("events", follow=True)
        self.assertEqual(one_more.hear()["error"]["code"], "busy")
        self.assertEqual(self.agent.state(), "Healthy")
        followers[3].close()

        def admitted():
            one_more.say("events", follow=True)
            return one_more.hear()["ok"]
        wait_until(admitted, "the place to be free")

    def test_missed(self):
        """The ring went round: whoever comes back is told, whoever is new is not."""
        client = self.raw()
        for i in range(RING):
            client.say("log-level", level=("info", "warn")[i % 2])
            self.assertTrue(client.hear()["ok"])
        last = events_of(self.agent)[-1]["seq"]
        first, *rest = events_of(self.agent, "--since", "1")
        self.assertEqual(first["kind"], "missed")
        self.assertEqual(first["fields"], {"count": last - RING - 1})
        self.assertEqual([e["seq"] for e in rest], list(range(last - RING + 1, last + 1)))
        self.assertEqual(self.of_kind("missed"), [])
        client.say("events", since=1, follow=True)
        self.assertEqual(client.hear()["event"]["kind"], "missed")

    def test_bad_arguments(self):
        client = self.raw()
        for args in ({"since": -1}, {"since": "1"}, {"follow": 1}):
            client.say("events", **args)
            self.assertEqual(client.hear()["error"]["code"], "invalid", args)

    # ---- log level ----

    def test_log_level(self):
        self.assertEqual(self.agent.command("log-level").stdout, "info\n")
        done = self.agent.command("log-level", "debug")
        self.assertEqual((done.returncode, done.stdout),
                         (0, "debug until the next reload; it was info\n"))
        self.assertEqual(json.loads(self.agent.command("log-level", "--json").stdout),
                         {"level": "debug"})
        self.assertEqual(self.of_kind("log-level"),
                         [{"level": "debug", "before": "info", "uid": os.geteuid()}])
        self.assertEqual(self.agent.reload().returncode, 0)
        self.assertEqual(self.agent.command("log-level").stdout, "info\n")

    def test_log_level_of_the_edge(self):
        edge = self.stack.edge
        self.assertEqual(edge.admin("log-level"), "info\n")
        self.assertEqual(edge.admin("log-level", "debug"),
                         "debug until the next reload; it was info\n")
        self.assertEqual(edge.json("log-level"), {"level": "debug"})
        self.assertNotEqual(edge.try_admin("log-level", "loud").returncode, 0)
        edge.admin("reload")
        self.assertEqual(edge.admin("log-level"), "info\n")

    def test_bad_log_level(self):
        done = self.agent.command("log-level", "loud")
        self.assertEqual(done.returncode, 1)
        self.assertIn("debug, info, warn and error", done.stderr)
        self.assertEqual(self.agent.command("log-level").stdout, "info\n")

    # ---- status --watch ----

    def test_watch(self):
        """A block per change, also while there is no agent."""
        reader = Reader(self, "watch", self.argv("status", "--watch"))
        reader.wait(lambda line: " Healthy  tunnel" in line, "Healthy")
        self.agent.terminate()
        reader.wait(lambda line: " Down  tunnel" in line, "Down")
        self.agent.start().wait_state("Healthy")
        wait_until(lambda: sum(" Healthy " in line for line in reader.lines) == 2,
                   "Healthy again", show=lambda: "".join(reader.lines))
        reader.process.signal(signal.SIGINT)
        self.assertEqual(reader.process.wait(), 0)

    def test_watch_as_json(self):
        reader = Reader(self, "watch", self.argv("status", "--watch", "--json"))
        line = reader.wait(lambda line: True, "the first state")
        self.assertEqual(json.loads(line)["state"], "Healthy")
        self.agent.terminate()
        reader.wait(lambda line: json.loads(line)["state"] == "Down", "Down")
        reader.process.signal(signal.SIGTERM)
        self.assertEqual(reader.process.wait(), 2)

    def test_watch_on_a_terminal(self):
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        process = self.start("watch", self.argv("status", "--watch"), stdout=slave)
        os.close(slave)
        seen = b""
        # Painted again without a change, from the top.
        while seen.count(b"\x1b[H\x1b[J") < 2:
            seen += os.read(master, 65536)
        self.assertIn(b"Healthy", seen)
        process.signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0)

    # ---- instances ----

    def test_instance_names(self):
        for name in ("../adit", "a/b", ".x", "n" * 200):
            done = run([binary("adit"), "status", "--instance", name])
            self.assertEqual(done.returncode, 64, name)
        done = run([binary("adit"), "events", "--instance", "no-such-instance-of-ours"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("/run/adit@no-such-instance-of-ours/adit.sock", done.stderr)


class RemoteTest(Case):
    def test_pushed_configuration(self):
        need("openssl")
        authority = Authority(self.path("ca"))
        edge = scripted.Edge(authority, [scripted.remotely_managed])
        self.addCleanup(edge.close)
        agent = Agent(self, edge.address, authority.ca_file, write_credentials(self),
                      settings="edge-server-name: h2.cftunnel.com\nha-connections: 1\n").start()
        conn = edge.wait_registered(1)[0]
        conn.push_config(json.dumps({"version": 3, "config": {"ingress": []}}).encode())
        conn.push_config(b"nonsense")
        told = [e["fields"] for e in events_of(agent) if e["kind"] == "remote-config"]
        self.assertEqual([(f["outcome"], f["version"]) for f in told],
                         [("applied", 3), ("unreadable", 3)])
        self.assertEqual(told[0]["note"], "ingress")


if __name__ == "__main__":
    main()
