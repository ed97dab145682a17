# SPDX-License-Identifier: Apache-2.0
"""What breaks is mended: edge, agent and single connections die under load; bad files are refused."""

import threading

from support import origin
from support.adit import Agent, Edge, route, routes
from support.case import Case, main
from support.netns import EDGE_IP, Path
from support.require import need
from support.shaper import Shaper
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until


class Load:
    """Streams that echo without a pause until they are broken."""

    def __init__(self, case, stack, n=4):
        self.processes = [stack.popen() for _ in range(n)]
        self.rounds = [0] * n
        self.threads = [case.thread(self._run, i) for i in range(n)]

    def _run(self, i):
        block = origin.pattern(100_000, seed=i)
        process = self.processes[i]
        try:
            while True:
                writer = threading.Thread(target=process.stdin.write, args=(block,), daemon=True)
                writer.start()
                got = bytearray()
                while len(got) < len(block):
                    piece = process.stdout.read(65536)
                    if not piece:
                        return
                    got += piece
                if got != block:
                    return
                self.rounds[i] += 1
        except (OSError, ValueError):
            pass

    def wait_running(self):
        before = list(self.rounds)
        wait_until(lambda: all(n > b for n, b in zip(self.rounds, before)), "the load to run")

    def wait_broken(self):
        for process in self.processes:
            process.wait()


class ResilienceTest(Case):
    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)

    def assertWorks(self, stack):
        done = stack.connect(b"hello")
        self.assertEqual((done.stdout, done.returncode), (b"hello", 0), done.stderr)

    def test_edge_killed_and_restarted_under_load(self):
        stack = Stack(self, self.server.port)
        load = Load(self, stack)
        load.wait_running()
        stack.edge.kill()
        load.wait_broken()
        stack.agent.wait_state("Down")
        self.assertEqual(stack.agent.status()[0], 2)
        stack.edge.start()
        stack.agent.wait_state("Healthy")
        stack.agent.wait_accepted()
        self.assertWorks(stack)

    def test_agent_killed_under_load(self):
        stack = Stack(self, self.server.port)
        load = Load(self, stack)
        load.wait_running()
        stack.agent.process.kill()
        load.wait_broken()
        code, status = stack.agent.status()
        self.assertEqual((code, status["state"]), (2, "Down"))
        # Its routes are held: the answer is "down", not "no such route".
        done = stack.connect()
        self.assertIn(b"connector", done.stderr)
        stack.agent.start().wait_state("Healthy")
        stack.agent.wait_accepted()
        self.assertWorks(stack)

    def test_one_of_four_cut(self):
        shaper = None

        def through_shaper(edge):
            nonlocal shaper
            shaper = Shaper(("127.0.0.1", edge.port))
            self.addCleanup(shaper.close)
            return f"127.0.0.1:{shaper.port}"
        stack = Stack(self, self.server.port, edges=through_shaper)
        streams = [stack.popen() for _ in range(4)]
        for process in streams:
            echo_line(process, "before")
        self.assertEqual(shaper.accepted, 4)
        shaper.cut(1)
        wait_until(lambda: sum(not p.running() for p in streams) == 1, "one stream to break")
        wait_until(lambda: shaper.accepted == 5, "the replacement")
        stack.agent.wait_state("Healthy")
        for process in streams:
            if process.running():
                echo_line(process, "after")
        self.assertEqual(sum(p.running() for p in streams), 3)
        self.assertEqual(shaper.accepted, 5)

    def test_all_four_states(self):
        stack = Stack(self, self.server.port, start=False)
        agent = stack.agent
        self.assertEqual((agent.status()[0], agent.state()), (3, "Inactive"))
        stack.edge.kill()
        agent.start()
        wait_until(lambda: any(c.get("last_error") for c in agent.connections()),
                   "the failed dial in the status")
        self.assertEqual((agent.status()[0], agent.state()), (3, "Inactive"))
        stack.edge.start()
        agent.wait_state("Healthy")
        self.assertEqual(agent.status()[0], 0)
        victim = stack.edge.agents()[0]
        stack.edge.admin("connection", "close", str(victim["id"]), "--hold", "3s")
        agent.wait_state("Degraded")
        self.assertEqual(agent.status()[0], 1)
        self.assertWorks(stack)
        agent.wait_state("Healthy")
        stack.edge.kill()
        agent.wait_state("Down")
        self.assertEqual(agent.status()[0], 2)
        stack.edge.start()
        agent.wait_state("Healthy")
        self.assertEqual(agent.terminate(), 0)
        self.assertEqual((agent.status()[0], agent.state()), (2, "Down"))

    def test_reload(self):
        stack = Stack(self, self.server.port)
        agent = stack.agent
        held = stack.popen()
        echo_line(held, "before")
        # Broken: the old one stays and the reason is told.
        agent.configure("routes:\n  - network: 10.116.0.300/32\nlog-levle: info\n")
        done = agent.reload()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"{agent.config}:", done.stdout + done.stderr)
        self.assertIn("network", done.stdout + done.stderr)
        self.assertIn("log-levle", done.stdout + done.stderr)
        self.assertEqual([r["network"] for r in agent.routes()], [f"{HOST}/32"])
        self.assertWorks(stack)
        # Good: the new route works, the stream of the one that is gone goes on.
        via = f"127.0.0.1:{self.server.port}"
        agent.configure(routes(route("10.116.0.9/32", via=via)))
        self.assertEqual(agent.reload().returncode, 0)
        wait_until(lambda: [r["network"] for r in agent.routes()] == ["10.116.0.9/32"],
                   "the new route")
        agent.wait_accepted()
        done = stack.connect(b"hello", "10.116.0.9")
        self.assertEqual(done.stdout, b"hello", done.stderr)
        self.assertNotEqual(stack.connect().returncode, 0)
        echo_line(held, "after")
        self.assertEqual(agent.state(), "Healthy")

    def test_second_instance(self):
        stack = Stack(self, self.server.port)
        second = self.start("second", stack.agent.process.argv)
        self.assertEqual(second.wait(), 73)
        self.assertEqual(stack.agent.state(), "Healthy")


class BlackHoleTest(Case):
    def test_idle_one_way_black_hole(self):
        """No traffic, packets vanish in one direction: every connection is given up, and comes
        back when the path does."""
        need("netns")
        path = Path(self)
        edge = Edge(self, host=EDGE_IP, prefix=path.prefix("edge")).start()
        agent = Agent(self, edge.address, edge.ca_file, edge.create_tunnel(),
                      prefix=path.prefix("agent")).start()
        for towards in ("agent", "edge"):
            with self.subTest(f"lost towards the {towards}"):
                agent.wait_state("Healthy")
                path.lose(towards)
                agent.wait_state("Down", 60)
                path.heal(towards)
        agent.wait_state("Healthy")


if __name__ == "__main__":
    main()
