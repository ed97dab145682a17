# SPDX-License-Identifier: Apache-2.0
"""Half a minute of `make chaos`: real ssh, scp and rsync while agents, edges and links break."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from chaos import driver, table
from chaos.faults import KINDS, Fault
from chaos.judge import Connection, Evidence, Judge, Stream
from chaos.workload import Session
from support.case import Case, main
from support.require import need

SECONDS = 30
SEED = 2        # the same faults each time; others are for make chaos
# The test has the machine for itself as little as its sessions have: five times the limits.
FACTOR = 5
GROWTH_KIB = 300 * 1024     # sanitizers keep what was freed

KIND_OF = {kind.name: kind for kind in KINDS}
USER, AGENT_IP, PORT, EDGE = "10.118.0.1", "10.117.5.2", 4000, "edge1"


class JudgeTest(Case):
    """One session and the loss of its connection, by a clock of our own."""

    def test_a_repeat_on_what_was_cut_too(self):
        """The other edge didn't know yet: the user asked the next one, when he had waited."""
        evidence = Evidence({})
        for name, closed in (("first", 10.0), ("other", 16.0), ("new", float("inf"))):
            evidence.connections[name] = Connection(
                EDGE, AGENT_IP, PORT, 12.0 if name == "new" else 0.0, closed)
        fault = Fault(KIND_OF["agent's link black-holed to the agent"], 1.0, ip=AGENT_IP,
                      ended=21.0)
        for stream, result in ((("other", "reset by the client", 16.0), "ended as it may"),
                               (("new", "ok", 16.0), "repeated late")):
            with self.subTest(stream=stream):
                session = Session(1, "rsync put", EDGE, address=USER, began=0.01, ended=10.1,
                                  status=255, said=[(10.1, "adit connect: lost")])
                repeat = Session(2, "rsync put", EDGE, session, "10.118.0.2", began=10.2,
                                 ended=16.1, status=0, timed=True)
                evidence.streams = {
                    USER: [Stream(EDGE, "first", "connection lost", 10.0)],
                    repeat.address: [Stream(EDGE, *stream)],
                }
                judge = Judge([session, repeat], [], [fault], evidence, driver.Limits())
                self.assertEqual(judge.verdicts()[0].result, result)

    def end_of(self, faults, lost, told, ended):
        """The result of a session over @faults, (name, began, ended), that began at 0."""
        session = Session(1, "rsync put", EDGE, address=USER, began=0.01, ended=ended, status=255,
                          said=[(told, "adit connect: lost")])
        evidence = Evidence({})
        evidence.connections["c"] = Connection(EDGE, AGENT_IP, PORT, 0.0, lost, "connection lost")
        evidence.streams[USER] = [Stream(EDGE, "c", "connection lost", lost)]
        made = [Fault(KIND_OF[name], began, ended=end, edge=EDGE, session=session, ip=AGENT_IP,
                      port=PORT) for name, began, end in faults]
        [verdict] = Judge([session], [], made, evidence, driver.Limits()).verdicts()
        return verdict.result

    def test_the_edge_tells(self):
        reset = ("connection reset", 2.0, 9.0)
        self.assertEqual(self.end_of([reset], 2.1, 3.0, 3.1), "never repeated")
        self.assertEqual(self.end_of([reset], 2.1, 7.0, 7.1), "ended late")

    def test_nobody_can_tell_who_is_cut_off(self):
        reset = ("connection reset", 2.0, 9.0)
        for name in ("user's connection cut", "users' way to an edge cut"):
            cut = (name, 1.0, 22.0)
            self.assertEqual(self.end_of([cut, reset], 2.1, 10.0, 10.1), "never repeated")
            self.assertEqual(self.end_of([cut, reset], 2.1, 10.0, 12.5), "ended late")


class ChaosTest(Case):
    def test_half_a_minute(self):
        need("root", "netns", "nft", "tun", "sshd", "rsync")
        said = [f"--seed {SEED}"]
        report = driver.run(self, SECONDS, 10, 3, SEED, driver.Limits(FACTOR, GROWTH_KIB),
                            said.append, pause_s=(0.2, 1.0), at_once=4)
        text = "\n".join([*said, *table.whole(report)])
        self.assertTrue(report.kept, text)
        # It was not for nothing: things broke, and sessions with them.
        self.assertGreater(len(report.faults), 5, text)
        self.assertTrue([v for v in report.verdicts if v.result == "ended as it may"], text)


if __name__ == "__main__":
    main()
