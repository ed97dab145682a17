# SPDX-License-Identifier: Apache-2.0
"""The network swallows one address family: the connections are at the other, and stay there."""

import json
import subprocess

from support.adit import Agent, Edge
from support.case import Case, main
from support.netns import EDGE_IP, EDGE_IP6, Path
from support.require import need
from support.waiting import wait_until

NO_ANSWER = "no answer to the TCP connect"
DEADLINE_S = 180    # for what takes 30 s at the most


class DeadFamilyTest(Case):
    def setUp(self):
        need("netns", "nft")
        super().setUp()
        self.net = Path(self)
        self.net.add_ipv6()
        self.edge = Edge(self, host=EDGE_IP, prefix=self.net.prefix("edge"))
        with open(self.edge.config, encoding="utf-8") as file:
            text = file.read()
        self.addresses = {4: self.edge.address, 6: f"[{EDGE_IP6}]:{self.edge.port}"}
        self.write("edge.yml", text.replace(f'"{self.edge.address}"',
                                            json.dumps(list(self.addresses.values()))))
        self.edge.start()
        self.agent = Agent(self, [self.addresses[6], self.addresses[4]], self.edge.ca_file,
                           self.edge.create_tunnel(), settings="edge-server-name: localhost\n",
                           prefix=self.net.prefix("agent"))

    def failures(self, family):
        """Connection indices and reasons of the tries that failed there."""
        found = [json.loads(line)["fields"] for line in
                 self.agent.command("events", "--json").stdout.splitlines()]
        return [(e["index"], e["reason"]) for e in found
                if e.get("edge") == self.addresses[family] and e.get("state") == "backoff"
                and e["from"] != "registered"]

    def wait_all_at(self, family):
        def there():
            used = [c["edge"] for c in self.agent.connections() if c["state"] == "registered"]
            return used == [self.addresses[family]] * 4
        wait_until(there, f"four connections by IPv{family}", DEADLINE_S,
                   lambda: f"{self.agent.connections()}\n{self.agent.process.log_tail()}")
        self.agent.wait_state("Healthy")

    def reset_all(self):
        """A router in between says that there are no such connections."""
        ports = ", ".join(c["peer"].rpartition(":")[2] for c in self.edge.agents())
        subprocess.run(self.net.prefix("router") + ["nft", "-f", "-"], check=True, encoding="utf-8",
                       input="table ip t { chain c { type filter hook forward priority 0;\n"
                       f"tcp sport {{ {ports} }} reject with tcp reset\n}}\n}}\n")

    def test_dead_family(self):
        self.net.lose(EDGE_IP6)
        self.agent.start()
        self.wait_all_at(4)
        failed = self.failures(6)
        self.assertEqual({reason for _, reason in failed}, {NO_ANSWER})
        self.assertEqual(len(failed), 2)    # two connections got that address at first
        self.assertEqual(len({index for index, _ in failed}), 2)
        # All are lost at once: none goes back there, where nobody is.
        before = {c["id"] for c in self.edge.agents()}
        self.reset_all()
        wait_until(lambda: not before & {c["id"] for c in self.edge.agents()}
                   and len(self.edge.agents()) == 4, "four new connections", DEADLINE_S,
                   self.agent.process.log_tail)
        self.wait_all_at(4)
        self.assertEqual(self.failures(6), failed)
        # The other way round.
        self.net.heal(EDGE_IP6)
        self.net.lose(EDGE_IP)
        self.wait_all_at(6)


if __name__ == "__main__":
    main()
