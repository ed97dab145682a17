# SPDX-License-Identifier: Apache-2.0
"""`adit run --replace`: a new process follows the one that runs, and nobody notices."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading

from peers import edge as scripted
from support import adit, origin
from support.case import Case, main
from support.notifications import Notifications
from support.require import need
from support.sshd import Sshd
from support.stack import HOST, Stack, echo_line, serve
from support.tlsca import Authority
from support.waiting import wait_until


NOBODY = 65534

TAKE, CONFIRM = {"command": "replace.take"}, {"command": "replace.confirm"}


def claim_of(agent, pid=1):
    return {"command": "replace",
            "args": {"tunnel_id": agent.status()[1]["tunnel"]["id"], "pid": pid}}


def converse(agent, *lines):
    """Requests on one connection, which then ends: the answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(agent.socket)
        sock.settimeout(60)
        with sock.makefile("rwb") as f:
            answers = []
            for line in lines:
                f.write(json.dumps({"v": 1, **line}).encode() + b"\n")
                f.flush()
                answers.append(json.loads(f.readline()))
            return answers


class ReplaceCase(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.n_started = 0

    def replace(self, agent, *extra, name=None, config=None, **options):
        """`adit run --replace` beside @agent: a Process."""
        self.n_started += 1
        return self.start(name or f"new-{self.n_started}",
                          [adit.binary("adit"), "run", "--config", config or agent.config,
                           "--replace", *extra], **options)

    def wait_in_charge(self, agent, process):
        wait_until(lambda: agent.status()[1].get("pid") == process.pid,
                   "the new process to answer", show=lambda: f"{agent.status()}\n{process.log_tail()}")

    def assert_untouched(self, agent):
        """The old one is in charge, with nothing left of an attempt."""
        code, status = agent.status()
        self.assertEqual((code, status["pid"], status["draining"]),
                         (0, agent.process.pid, False))
        wait_until(lambda: "replacement" not in agent.status()[1], "the claim to end")

    def saved(self, agent):
        with open(os.path.join(agent.folder, "state.json"), encoding="ascii") as f:
            return json.load(f)


class HandOverTest(ReplaceCase):
    """It works, and costs nobody a connection."""

    def test_streams_and_new_connections(self):
        stack = Stack(self, self.server.port)
        agent, before = stack.agent, self.saved(stack.agent)
        held = stack.popen()
        echo_line(held, "before")
        stop, failures, done = threading.Event(), [], [0]

        def knock():
            client = stack.scripted_client()
            while not stop.is_set():
                stream = client.connect(f"{HOST}:22")
                answer = client.answer(stream)
                if answer != ("200", None):
                    failures.append(answer)
                    continue
                client.send(stream, b"hello")
                client.wait(lambda: stream.n_received == 5, "the echo")
                client.send(stream, b"", end=True)
                done[0] += 1

        knockers = [self.thread(knock) for _ in range(3)]
        wait_until(lambda: done[0] >= 3, "connections before")
        new = self.replace(agent)
        self.wait_in_charge(agent, new)
        n = done[0]
        wait_until(lambda: done[0] >= n + 5, "connections after")
        echo_line(held, "the old one drains")
        self.assertTrue(agent.process.running())
        held.stdin.close()
        self.assertEqual(agent.process.wait(), 0, agent.process.log_tail())
        n = done[0]
        wait_until(lambda: done[0] >= n + 5, "connections when the old one is gone")
        stop.set()
        for knocker in knockers:
            knocker.join(60)
        self.assertEqual(failures, [])
        code, status = agent.status()
        self.assertEqual((code, status["state"], status["pid"]), (0, "Healthy", new.pid))
        after = self.saved(agent)
        self.assertEqual((after["instance_id"], after["pid"], after["state"]),
                         (before["instance_id"], new.pid, "Healthy"))
        self.assertEqual(new.terminate(), 0)
        self.assertEqual(self.saved(agent)["pid"], 0)
        self.assertFalse(os.path.exists(agent.socket))

    def test_ssh_session_lives(self):
        need("sshd")
        sshd = Sshd(self)
        stack = Stack(self, sshd.port)
        proxy = " ".join(stack.connect_argv("%h", "%p"))
        ssh = subprocess.Popen(
            ["ssh", *sshd.ssh_options(), "-o", f"ProxyCommand={proxy}", "-p", "22",
             f"{sshd.user}@{HOST}", "echo in; cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(ssh.wait)
        self.addCleanup(ssh.kill)
        self.assertEqual(ssh.stdout.readline(), b"in\n")
        new = self.replace(stack.agent)
        self.wait_in_charge(stack.agent, new)
        out, _ = ssh.communicate(origin.pattern(1_000_000), timeout=120)
        self.assertEqual((origin.sha256(out), ssh.returncode),
                         (origin.sha256(origin.pattern(1_000_000)), 0))
        self.assertEqual(stack.agent.process.wait(), 0)

    def test_routes_without_a_gap(self):
        """What the new config has no more is gone, not held; what it has never was away."""
        stack = Stack(self, self.server.port)
        agent, edge = stack.agent, stack.edge
        extra = adit.route("10.116.9.0/24")
        agent.configure(adit.routes(*stack.routes, extra))
        self.assertEqual(agent.reload().returncode, 0)
        agent.wait_accepted()
        agent.configure(adit.routes(*stack.routes))
        states, stop = [], threading.Event()

        def look():
            while not stop.is_set():
                states.append(sorted((r["network"], r["state"])
                                     for r in edge.json("route", "list")["routes"]))

        looker = self.thread(look)
        wait_until(lambda: states, "a first look")
        new = self.replace(agent)
        self.wait_in_charge(agent, new)
        self.assertEqual(agent.process.wait(), 0)
        n = len(states)
        wait_until(lambda: len(states) > n + 1, "a look afterwards")
        stop.set()
        looker.join(60)
        for seen in states:
            self.assertIn((f"{HOST}/32", "up"), seen)
            self.assertNotIn(("10.116.9.0/24", "held"), seen)
        self.assertEqual(states[-1], [(f"{HOST}/32", "up")])
        self.assertEqual(len({c["connector"] for c in edge.agents()}), 1)

    def test_again_and_again(self):
        stack = Stack(self, self.server.port)
        last = stack.agent.process
        for _ in range(3):
            new = self.replace(stack.agent)
            self.wait_in_charge(stack.agent, new)
            self.assertEqual(last.wait(), 0, last.log_tail())
            last = new
        echo_line(stack.popen(), "hello")
        # The lock went along: a second one is refused as ever.
        done = adit.run([adit.binary("adit"), "run", "--config", stack.agent.config])
        self.assertEqual(done.returncode, 73, done.stderr)

    def test_stock_edge(self):
        """It takes no routes: there is nothing to wait for, and nothing to withdraw."""
        need("openssl")
        authority = Authority(self.path("ca"))
        edge = scripted.Edge(authority, [scripted.success])
        self.addCleanup(edge.close)
        agent = adit.Agent(self, edge.address, authority.ca_file, adit.write_credentials(self),
                           adit.routes(adit.route(f"{HOST}/32")),
                           settings="edge-server-name: h2.cftunnel.com\n").start()
        agent.wait_state("Healthy")
        new = self.replace(agent)
        self.wait_in_charge(agent, new)
        self.assertEqual(agent.process.wait(), 0, agent.process.log_tail())
        self.assertEqual(agent.state(), "Healthy")

    def test_nobody_runs(self):
        stack = Stack(self, self.server.port, start=False)
        new = self.replace(stack.agent)
        self.wait_in_charge(stack.agent, new)
        stack.agent.process = new
        stack.agent.wait_state("Healthy")
        new.kill()
        # A socket without a daemon is nobody, either.
        self.assertTrue(os.path.exists(stack.agent.socket))
        self.wait_in_charge(stack.agent, self.replace(stack.agent))

    def test_in_the_background(self):
        stack = Stack(self, self.server.port)
        done = self.replace(stack.agent, "--background")
        self.assertEqual(done.wait(), 0, done.log_tail())
        pid = stack.agent.status()[1]["pid"]
        self.addCleanup(os.kill, pid, signal.SIGTERM)
        self.assertNotIn(pid, (done.pid, stack.agent.process.pid))
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            self.assertNotEqual(int(f.read().rsplit(")", 1)[1].split()[3]), os.getsid(0))
        self.assertEqual(stack.agent.process.wait(), 0)
        echo_line(stack.popen(), "hello")
        # What it says is what becomes of the agent.
        other = stack.edge.create_tunnel("t2", prefixes=())
        bad = self.replace(stack.agent, "--background", "--credentials-file", other)
        self.assertEqual(bad.wait(), 78, bad.log_tail())
        self.assertEqual(stack.agent.status()[1]["pid"], pid)
        alone = adit.run([adit.binary("adit"), "run", "--background"])
        self.assertEqual(alone.returncode, 64, alone.stderr)

    def test_in_the_background_without_standard_descriptors(self):
        """Closed ones aren't taken for anything else: each is there again, and is /dev/null."""
        stack = Stack(self, self.server.port)
        for closed in ((0,), (1,), (0, 1), (0, 1, 2)):
            with self.subTest(closed=closed):
                shut = " ".join(f"{fd}>&-" for fd in closed)
                done = self.start(f"closed-{len(closed)}{closed[0]}", [
                    "sh", "-c", f'exec "$@" {shut}', "sh", adit.binary("adit"), "run",
                    "--config", stack.agent.config, "--replace", "--background"])
                self.assertEqual(done.wait(), 0, done.log_tail())
                pid = stack.agent.status()[1]["pid"]
                self.addCleanup(self.end, pid)
                for fd in closed:
                    self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null")
        echo_line(stack.popen(), "hello")

    def end(self, pid):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass

    def test_status_control_and_events(self):
        """Somebody answers on the socket at any time, and says what goes on."""
        stack = Stack(self, self.server.port)
        agent, seen, stop = stack.agent, [], threading.Event()

        def look():
            while not stop.is_set():
                try:
                    seen.append(converse(agent, {"command": "status"})[0]["result"])
                except (OSError, ValueError) as e:
                    seen.append({"state": repr(e), "pid": new.pid})

        lookers = [self.thread(look) for _ in range(4)]
        new = self.replace(agent)
        self.wait_in_charge(agent, new)
        self.assertEqual(agent.process.wait(), 0)
        stop.set()
        for looker in lookers:
            looker.join(60)
        self.assertEqual({status["state"] for status in seen}, {"Healthy"})
        self.assertEqual({status["pid"] for status in seen} | {new.pid},
                         {agent.process.pid, new.pid})
        self.assertLessEqual({status.get("replacement") for status in seen}, {None, new.pid})
        events = [json.loads(line) for line in agent.command("events", "--json").stdout.splitlines()]
        done = [e["fields"] for e in events if e["kind"] == "replacement"]
        self.assertEqual(done, [{"step": "done", "pid": agent.process.pid}])


class RefusalTest(ReplaceCase):
    """Nothing has changed when it doesn't come to it."""

    def test_credentials_are_refused(self):
        stack = Stack(self, self.server.port)
        secrets = stack.edge.json("tunnel", "secret", "list", "t1")
        self.assertTrue(secrets)
        with open(stack.tunnel, encoding="ascii") as f:
            credentials = json.load(f)
        credentials["TunnelSecret"] = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
        wrong = self.write("wrong.json", json.dumps(credentials))
        new = self.replace(stack.agent, "--credentials-file", wrong)
        self.assertEqual(new.wait(), 77, new.log_tail())
        self.assertIn("not replaced", new.log())
        self.assert_untouched(stack.agent)
        echo_line(stack.popen(), "hello")

    def test_another_tunnel(self):
        stack = Stack(self, self.server.port)
        other = stack.edge.create_tunnel("t2", prefixes=())
        new = self.replace(stack.agent, "--credentials-file", other)
        self.assertEqual(new.wait(), 78, new.log_tail())
        self.assertIn("another tunnel", new.log())
        self.assert_untouched(stack.agent)

    def test_two_at_once(self):
        """The first is held up on its way to the edge: only one may prepare."""
        stack = Stack(self, self.server.port)
        quiet = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(quiet.close)
        first = self.replace(stack.agent, "--edge", f"127.0.0.1:{quiet.getsockname()[1]}")
        wait_until(lambda: stack.agent.status()[1].get("replacement") == first.pid, "the claim",
                   show=first.log_tail)
        self.assertIn(f"process {first.pid}", stack.agent.command("status").stdout)
        second = self.replace(stack.agent)
        self.assertEqual(second.wait(), 73, second.log_tail())
        self.assertIn(str(first.pid), second.log())
        # Killed while it registers: the place is free, the next one gets it.
        first.kill()
        self.assert_untouched(stack.agent)
        third = self.replace(stack.agent)
        self.wait_in_charge(stack.agent, third)
        self.assertEqual(stack.agent.process.wait(), 0)

    def test_told_to_stop_meanwhile(self):
        stack = Stack(self, self.server.port)
        quiet = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(quiet.close)
        new = self.replace(stack.agent, "--edge", f"127.0.0.1:{quiet.getsockname()[1]}")
        wait_until(lambda: stack.agent.status()[1].get("replacement") == new.pid, "the claim")
        self.assertEqual(new.terminate(), 0)
        self.assert_untouched(stack.agent)
        self.assertEqual(self.saved(stack.agent)["pid"], stack.agent.process.pid)

    def test_old_one_hangs(self):
        stack = Stack(self, self.server.port)
        stack.agent.process.signal(signal.SIGSTOP)
        self.addCleanup(stack.agent.process.signal, signal.SIGCONT)
        new = self.replace(stack.agent)
        self.assertEqual(new.wait(), 75, new.log_tail())
        self.assertIn("does not answer", new.log())
        stack.agent.process.signal(signal.SIGCONT)
        self.assert_untouched(stack.agent)

    def test_old_one_knows_nothing_of_it(self):
        """A daemon of another age is played by a socket that refuses the command."""
        stack = Stack(self, self.server.port, start=False)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(stack.agent.socket)
        listener.listen()
        self.addCleanup(listener.close)

        def refuse():
            conn, _ = listener.accept()
            with conn:
                conn.recv(65536)
                conn.sendall(b'{"v":1,"ok":false,"error":{"code":"unknown-command",'
                             b'"text":"no command \'replace\'"}}\n')
                conn.recv(65536)

        self.thread(refuse)
        new = self.replace(stack.agent)
        self.assertEqual(new.wait(), 75, new.log_tail())
        self.assertIn("version", new.log())

    def test_commands_out_of_order(self):
        stack = Stack(self, self.server.port)

        def talk(*lines):
            return converse(stack.agent, *lines)

        take, confirm, claim = TAKE, CONFIRM, claim_of(stack.agent)
        status = stack.agent.status()[1]
        for lines in ([take], [confirm], [claim, confirm], [claim, claim], [claim, take, take]):
            self.assertEqual(talk(*lines)[-1]["error"]["code"], "conflict", lines)
            self.assert_untouched(stack.agent)
        for args in ({}, {"tunnel_id": "x", "pid": 1}, {"tunnel_id": status["tunnel"]["id"]}):
            answer = talk({"command": "replace", "args": args})[0]
            self.assertEqual(answer["error"]["code"], "invalid")
        # Whoever took the name and left has changed nothing: it is ours, and so is its lock.
        self.assertTrue(talk(claim, take)[-1]["ok"])
        self.assert_untouched(stack.agent)
        done = adit.run([adit.binary("adit"), "run", "--config", stack.agent.config])
        self.assertEqual(done.returncode, 73, done.stderr)


class OtherUserTest(ReplaceCase):
    """Root and nobody: neither replaces the other's agent."""

    def setUp(self):
        super().setUp()
        need("root")
        os.chmod(self.tmp, 0o711)
        self.binary = shutil.copy(adit.binary("adit"), self.path("adit"))
        os.chmod(self.binary, 0o755)
        self.stack = Stack(self, self.server.port, start=False)

    def give(self, user):
        agent = self.stack.agent
        os.chown(agent.folder, user, user)
        for path in (agent.config, self.stack.tunnel):
            os.chown(path, user, user)
        os.chmod(self.stack.edge.folder, 0o711)
        os.chmod(self.stack.edge.ca_file, 0o644)

    def run_as(self, user, *extra):
        return self.start(f"agent-{user}-{len(extra)}",
                          [self.binary, "run", "--config", self.stack.agent.config, *extra],
                          user=user, group=user, extra_groups=[])

    def test_root_does_not_take_what_is_another_users(self):
        self.give(NOBODY)
        self.stack.agent.process = self.run_as(NOBODY)
        self.stack.agent.wait_state("Healthy")
        own = self.write("own.json", open(self.stack.tunnel, "rb").read())
        new = self.replace(self.stack.agent, "--credentials-file", own)
        self.assertEqual(new.wait(), 77, new.log_tail())
        self.assertIn(f"user {NOBODY}", new.log())
        self.assert_untouched(self.stack.agent)
        # Its own user may, as it may change whatever else.
        done = adit.run([self.binary, "reload", "--socket", self.stack.agent.socket],
                        user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        new = self.run_as(NOBODY, "--replace")
        self.wait_in_charge(self.stack.agent, new)
        self.assertEqual(self.stack.agent.process.wait(), 0)
        # What was an adopted name is as good.
        done = adit.run([self.binary, "reload", "--socket", self.stack.agent.socket],
                        user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_nobody_may_not(self):
        self.stack.agent.process = self.run_as(0)
        self.stack.agent.wait_state("Healthy")
        self.give(NOBODY)
        new = self.run_as(NOBODY, "--replace")
        self.assertEqual(new.wait(), 77, new.log_tail())
        self.assert_untouched(self.stack.agent)


class DeathTest(ReplaceCase):
    """One of the two dies on the way."""

    def test_old_one_dies(self):
        stack = Stack(self, self.server.port)
        quiet = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(quiet.close)
        new = self.replace(stack.agent, "--edge", f"127.0.0.1:{quiet.getsockname()[1]}")
        wait_until(lambda: stack.agent.status()[1].get("replacement") == new.pid, "the claim")
        stack.agent.process.kill()
        self.wait_in_charge(stack.agent, new)
        self.assertTrue(new.running())
        self.assertEqual(self.saved(stack.agent)["pid"], new.pid)

    def test_new_one_is_killed_anywhere(self):
        """Whenever that is: the old one goes on, or had its word that it is replaced."""
        stack = Stack(self, self.server.port)
        agent, n_replaced = stack.agent, 0
        client = stack.scripted_client()
        for mark in ("INF starting", "INF connection registered", "INF routes advertised",
                     "INF replaced the old agent") * 2:
            held = client.connect(f"{HOST}:22")
            self.assertEqual(client.answer(held), ("200", None))
            new = self.replace(agent)
            new.wait_log(mark)
            new.kill()

            def was_replaced():
                return agent.process.log().count("replaced, draining") > n_replaced

            def settled():
                return was_replaced() or (
                    agent.status()[1].get("pid") == agent.process.pid and
                    "replacement" not in agent.status()[1])

            wait_until(settled, f"the old one after a kill at {mark!r}", show=new.log_tail)
            client.send(held, b"hello")
            client.wait(lambda: held.n_received == 5, "the echo of the old one")
            client.reset(held)
            if was_replaced():
                n_replaced += 1
                self.assertEqual(agent.process.wait(), 0)
                agent.start()
                agent.wait_state("Healthy")
                agent.wait_accepted()
        self.assertGreaterEqual(n_replaced, 2)

    def test_old_one_is_told_to_stop(self):
        """It drains, a stream keeps it: what asks for its place gets it."""
        stack = Stack(self, self.server.port)
        held = stack.popen()
        echo_line(held, "before")
        stack.agent.process.signal(signal.SIGTERM)
        wait_until(lambda: stack.agent.status()[1]["draining"], "the drain")
        new = self.replace(stack.agent)
        self.wait_in_charge(stack.agent, new)
        echo_line(held, "still")
        echo_line(stack.popen(), "new")
        held.stdin.close()
        self.assertEqual(stack.agent.process.wait(), 0)
        self.assertEqual(self.saved(stack.agent)["pid"], new.pid)
        self.assertEqual(stack.agent.status()[1]["pid"], new.pid)


    def test_old_one_ends_when_the_name_is_given(self):
        """Its socket and state are another's: what it does at its end elsewhere isn't done."""
        stack = Stack(self, self.server.port)
        agent = stack.agent
        before = self.saved(agent)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(agent.socket)
            sock.settimeout(60)
            for line in (claim_of(agent), TAKE):
                sock.sendall(json.dumps({"v": 1, **line}).encode() + b"\n")
                answer, fds, _, _ = socket.recv_fds(sock, 65536, 4)
                self.assertTrue(json.loads(answer)["ok"])
            self.assertEqual(len(fds), 2)
            for fd in fds:
                self.addCleanup(os.close, fd)
            self.assertEqual(agent.terminate(), 0)
            self.assertEqual(sock.recv(1), b"")
        self.assertTrue(os.path.exists(agent.socket))
        self.assertEqual(self.saved(agent), before)
        # The descriptors are all that holds the name, and they do.
        done = adit.run([adit.binary("adit"), "run", "--config", agent.config])
        self.assertEqual(done.returncode, 73, done.stderr)


class SystemdTest(ReplaceCase):
    """The test plays systemd."""

    def setUp(self):
        super().setUp()
        self.notify = Notifications(self)
        self.stack = Stack(self, self.server.port, start=False)
        self.stack.agent.start(env={"NOTIFY_SOCKET": self.notify.path, "WATCHDOG_USEC": "400000"})
        self.stack.agent.wait_state("Healthy")
        self.notify.wait("READY", "1")

    def test_main_pid(self):
        agent = self.stack.agent
        held = self.stack.popen()
        echo_line(held, "before")
        n = len(self.notify.messages)
        new = self.replace(agent, env={"NOTIFY_SOCKET": self.notify.path})
        told = self.notify.wait("MAINPID", str(new.pid), n)
        self.assertEqual(told["READY"], "1")
        self.wait_in_charge(agent, new)
        # systemd expects the old one's watchdog, which only its first process was told of.
        held.stdin.close()
        self.assertEqual(agent.process.wait(), 0)
        n = len(self.notify.messages)
        wait_until(lambda: len(self.notify.having("WATCHDOG", "1", n)) >= 3, "keep-alives")
        self.assertEqual(self.notify.having("STOPPING"), [])
        new.terminate()
        self.notify.wait("STOPPING", "1")

    def test_failure_tells_nothing(self):
        n = len(self.notify.messages)
        other = self.stack.edge.create_tunnel("t2", prefixes=())
        new = self.replace(self.stack.agent, "--credentials-file", other,
                           env={"NOTIFY_SOCKET": self.notify.path})
        self.assertEqual(new.wait(), 78)
        self.notify.wait("WATCHDOG", "1", len(self.notify.messages))
        for key in ("MAINPID", "READY", "STOPPING", "STATUS"):
            self.assertEqual(self.notify.having(key, since=n), [])

    def test_main_pid_is_taken_back(self):
        """By the old one, when who told systemd its own is gone before it confirmed."""
        agent = self.stack.agent
        n = len(self.notify.messages)
        self.assertTrue(converse(agent, claim_of(agent), TAKE)[-1]["ok"])
        self.notify.wait("MAINPID", str(agent.process.pid), n)
        n = len(self.notify.messages)
        self.assertTrue(converse(agent, claim_of(agent))[-1]["ok"])
        self.assert_untouched(agent)
        self.assertEqual(self.notify.having("MAINPID", since=n), [])

    def test_from_outside_of_its_unit(self):
        new = self.replace(self.stack.agent, env={"NOTIFY_SOCKET": None})
        self.assertEqual(new.wait(), 75, new.log_tail())
        self.assertIn("ExecReload", new.log())
        self.assert_untouched(self.stack.agent)


if __name__ == "__main__":
    main()
