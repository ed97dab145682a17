# SPDX-License-Identifier: Apache-2.0
"""`adit status`, `connections`, `routes`, `reload` against a scripted agent: every state and
exit status, the state file of an agent that is gone, and answers that nobody should trust."""

import json
import os
import socket
import subprocess
import uuid

from support.case import Case, main

ADIT = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd", "adit")
TUNNEL = "6f1c0a4e-1d2b-4c3d-8e9f-001122334455"
USAGE = 64


def connection(index, **more):
    return {"index": index, "edge": "127.0.0.1:7844", "location": "lab", "state": "registered",
            "since_s": 185, "rtt_us": 1200, "streams": 2, "bytes_in": 12897485,
            "bytes_out": 512, "suspect": False, **more}


def status(state="Healthy", registered=4, **more):
    return {"tunnel": {"id": TUNNEL, "name": "web"}, "state": state, "expected": 4,
            "registered": registered, "since": 1795366957, "version": "0.1.0", "pid": 4711,
            "connector_id": str(uuid.UUID(int=7)), "uptime_s": 93600, "edge_features": [],
            "draining": False, "connections": [connection(i) for i in range(4)], **more}


def ok(result):
    return {"v": 1, "ok": True, "result": result}


class Agent:
    """Answers one call per connection with what @answers has for its command."""

    def __init__(self, case, answers):
        self.path = case.path("adit.sock")
        self.answers = answers
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        case.addCleanup(self.listener.close)
        case.thread(self._serve)

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                call = json.loads(lines.readline())
                answer = self.answers[call["command"]]
                if not isinstance(answer, bytes):
                    answer = json.dumps(answer).encode() + b"\n"
                peer.sendall(answer)


class StatusCase(Case):
    def adit(self, *argv, socket_path=None, env=None):
        argv = [ADIT, *argv]
        if socket_path is not None:
            argv += ["--socket", socket_path]
        inherited = {k: v for k, v in os.environ.items() if k != "ADIT_CONTROL_SOCKET"}
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", timeout=60,
                              env={**inherited, **(env or {})})

    def ask(self, answers, *argv):
        agent = Agent(self, answers)
        done = self.adit(*argv, socket_path=agent.path)
        os.unlink(agent.path)
        return done

    def without_agent(self, *argv):
        return self.adit("status", "--state-directory", self.tmp, *argv,
                         socket_path=self.path("none.sock"))

    def state_file(self, **members):
        text = {"version": 1, "tunnel": {"id": TUNNEL, "name": "web"}, "ever_registered": True,
                "instance_id": str(uuid.uuid4()), "state": "Healthy", "pid": 1, "updated": 1}
        self.write("state.json", json.dumps({**text, **members}), 0o644)


class RunningAgent(StatusCase):
    def test_every_state(self):
        for state, registered, code in (("Healthy", 4, 0), ("Degraded", 3, 1), ("Down", 0, 2),
                                        ("Inactive", 0, 3)):
            with self.subTest(state):
                done = self.ask({"status": ok(status(state, registered))}, "status")
                self.assertEqual(done.returncode, code)
                self.assertEqual(done.stdout.splitlines()[0],
                                 f"{state}  tunnel web ({TUNNEL})  {registered} of 4 connections")
                self.assertEqual(done.stderr, "")

    def test_what_people_read(self):
        shown = status("Degraded", 3, connections=[
            connection(0), connection(1, state="backoff", last_error="timed out", suspect=True)])
        lines = self.ask({"status": ok(shown)}, "status").stdout.splitlines()
        self.assertEqual(lines[1], f"connector {uuid.UUID(int=7)}  adit 0.1.0  pid 4711  up 1d2h")
        self.assertEqual(lines[2], "")
        self.assertEqual(lines[3].split(), ["#", "EDGE", "LOCATION", "STATE", "SINCE", "RTT",
                                            "SUSPECT", "STREAMS", "IN", "OUT", "LAST", "ERROR"])
        self.assertEqual(lines[4], "0  127.0.0.1:7844  lab       registered  3m05s  1.2 ms  no"
                                   "             2  12.3 MiB  512 B  -")
        self.assertTrue(lines[5].endswith("timed out"))
        self.assertEqual(len(lines), 6)

    def test_draining(self):
        done = self.ask({"status": ok(status(draining=True))}, "status")
        self.assertTrue(done.stdout.splitlines()[0].endswith("4 of 4 connections  draining"))

    def test_json(self):
        done = self.ask({"status": ok(status("Down", 0))}, "status", "--json")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(json.loads(done.stdout), {**status("Down", 0), "running": True})

    def test_socket_from_the_environment(self):
        agent = Agent(self, {"status": ok(status("Degraded", 1))})
        env = {"ADIT_CONTROL_SOCKET": agent.path}
        self.assertEqual(self.adit("status", env=env).returncode, 1)
        done = self.adit("status", "--state-directory", self.tmp, env=env,
                         socket_path=self.path("none.sock"))
        self.assertEqual(done.returncode, 3, "the flag beats the environment")

    def test_unknown(self):
        answers = (
            {"v": 1, "ok": False, "error": {"code": "internal", "text": "it broke"}},
            ok({"state": "Splendid"}), ok({}), ok({"state": 7}),
            b"", b"\n", b"hello\n", b"{\"v\":1,\"ok\":true,\"result\":[]}\n",
            b"{\"v\":2,\"ok\":true,\"result\":{}}\n", b"[" * 100000 + b"\n")
        self.state_file()
        for answer in answers:
            with self.subTest(answer=answer if len(answer) < 100 else "brackets"):
                done = self.ask({"status": answer}, "status", "--state-directory", self.tmp)
                self.assertEqual(done.returncode, 3)
                self.assertTrue(done.stdout.startswith("Unknown: "), done.stdout)
                self.assertEqual(done.stdout.count("\n"), 1)

    def test_unknown_in_json(self):
        done = self.ask({"status": ok({})}, "status", "--json")
        self.assertEqual(done.returncode, 3)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["state"], "Unknown")
        self.assertIn("no valid state", answer["note"])

    def test_terminal_is_safe(self):
        evil = "\x1b]0;owned\x07\n0  forged\u202e\u009b2J"
        shown = status(tunnel={"id": TUNNEL, "name": evil},
                       connections=[connection(0, location=evil, last_error=evil)])
        for argv in (["status"], ["status", "--json"]):
            out = self.ask({"status": ok(shown)}, *argv).stdout
            for bad in ("\x1b", "\x07", "\u202e", "\u009b", "\n0  forged"):
                self.assertNotIn(bad, out)

    def test_connections(self):
        done = self.ask({"connections": ok({"connections": [connection(3)]})}, "connections")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].startswith("3  127.0.0.1:7844"))

    def test_routes(self):
        routes = {"note": "the edge takes no routes from agents", "routes": [
            {"network": "10.116.0.3/32", "virtual_network": "lab", "state": "accepted",
             "via": "127.0.0.1:22", "ports": "22", "interface": "lo", "source": "127.0.0.1"},
            {"network": "10.117.0.0/16", "state": "refused", "reason": "owned by 'db'"}]}
        done = self.ask({"routes": ok(routes)}, "routes")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[1].split(), ["10.116.0.3/32", "lab", "accepted", "127.0.0.1:22",
                                            "22", "lo", "127.0.0.1", "-", "-"])
        self.assertTrue(lines[2].endswith("owned by 'db'"))
        self.assertEqual(lines[4], routes["note"])
        done = self.ask({"routes": ok(routes)}, "routes", "--json")
        self.assertEqual(json.loads(done.stdout), routes)

    def test_reload(self):
        done = self.ask({"reload": ok({"changed": ["routes"], "warnings": ["c.yml:3: x: y"]})},
                        "reload")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "changed: routes\n", "warning: c.yml:3: x: y\n"))
        done = self.ask({"reload": ok({"changed": [], "warnings": []})}, "reload")
        self.assertEqual((done.returncode, done.stdout), (0, "reloaded; nothing changed\n"))

    def test_refused_reload(self):
        reasons = "config.yml:2: routs: unknown key\nconfig.yml:7: via: no port"
        refusal = {"v": 1, "ok": False, "error": {"code": "invalid", "text": reasons}}
        done = self.ask({"reload": refusal}, "reload")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "".join(f"adit reload: {r}\n" for r in reasons.split("\n")))


class GoneAgent(StatusCase):
    def test_was_connected(self):
        self.state_file(state="Healthy")
        done = self.without_agent()
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, f"Down  tunnel web ({TUNNEL})  agent is not running\n")
        done = self.without_agent("--json")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(json.loads(done.stdout), {
            "state": "Down", "running": False, "note": "agent is not running",
            "tunnel": {"id": TUNNEL, "name": "web"}})

    def test_was_never_connected(self):
        self.state_file(state="Inactive", ever_registered=False)
        done = self.without_agent()
        self.assertEqual(done.returncode, 3)
        self.assertEqual(done.stdout, f"Inactive  tunnel web ({TUNNEL})  agent is not running; "
                                      "it never connected\n")

    def test_was_never_started(self):
        done = self.without_agent()
        self.assertEqual(done.returncode, 3)
        self.assertTrue(done.stdout.startswith("Inactive  agent is not running ("))

    def test_dead_socket(self):
        self.state_file()
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(self.path("dead.sock"))
        dead.close()
        done = self.adit("status", "--state-directory", self.tmp,
                         socket_path=self.path("dead.sock"))
        self.assertEqual(done.returncode, 2)

    def test_bad_state_files(self):
        for text in ("", "{", "[]", "{\"version\":1}", "\x00", " " * 70000):
            with self.subTest(text[:20]):
                self.write("state.json", text)
                done = self.without_agent()
                self.assertEqual(done.returncode, 3)
                self.assertTrue(done.stdout.startswith("Unknown: "), done.stdout)
                self.assertIn("state.json", done.stdout)

    def test_unreadable_state_file(self):
        os.mkdir(self.path("state.json"))
        done = self.without_agent("--json")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(json.loads(done.stdout)["state"], "Unknown")

    def test_bad_paths(self):
        done = self.adit("status", socket_path="/" + "a" * 200)
        self.assertEqual(done.returncode, 3)
        self.assertTrue(done.stdout.startswith("Unknown: "))

    def test_other_commands_fail(self):
        for command in ("connections", "routes", "reload"):
            done = self.adit(command, socket_path=self.path("none.sock"))
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, "")
            self.assertIn("no daemon answers", done.stderr)


class Usage(StatusCase):
    def test_errors(self):
        for argv, text in (([], "Usage: adit COMMAND"),
                           (["statsu"], "did you mean 'status'?"),
                           (["status", "--jsn"], "did you mean '--json'?"),
                           (["status", "now"], "one argument too many"),
                           (["status", "--socket"], "needs a value"),
                           (["reload", "--state-directory="], "isn't empty")):
            done = self.adit(*argv)
            self.assertEqual(done.returncode, USAGE, argv)
            self.assertEqual(done.stdout, "")
            self.assertIn(text, done.stderr)

    def test_help(self):
        done = self.adit("--help")
        self.assertEqual(done.returncode, 0)
        for command in ("status", "connections", "routes", "reload"):
            self.assertIn(f"\n  {command} ", done.stdout)
            done_one = self.adit(command, "--help")
            self.assertEqual(done_one.returncode, 0)
            self.assertTrue(done_one.stdout.startswith(f"Usage: adit {command} [OPTIONS]"))
        self.assertRegex(self.adit("--version").stdout, r"^adit \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    main()
