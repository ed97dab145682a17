# SPDX-License-Identifier: Apache-2.0
"""`adit up` in the user's namespace of support.sites, and what it must leave behind: nothing."""

import json
import os

from support import adit
from support.waiting import wait_until


class Up:
    """@argv: further options. Its runtime directory is run-NAME in the test's folder, or in
    @folder."""

    def __init__(self, case, lab, *argv, name="up", folder=None, **options):
        self.case, self.sites = case, lab.sites
        self.runtime = os.path.join(folder or case.tmp, f"run-{name}")
        self.process = case.start(name, lab.sites.prefix("user") + [
            adit.binary("adit"), "up", "--credentials", lab.client, "--runtime-directory",
            self.runtime, *argv], **options)

    def command(self, *argv):
        return self.sites.run("user", adit.binary("adit"), *argv, "--runtime-directory",
                              self.runtime)

    def status(self):
        """The answer of `adit up --status`, or {} when none runs."""
        done = self.command("up", "--status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def captured(self):
        return self.status().get("routes", {}).get("captured")

    def wait_up(self):
        def is_up():
            if not self.process.running():
                raise AssertionError(f"adit up ended\n{self.process.log_tail()}")
            return self.status().get("state") == "up"
        wait_until(is_up, "adit up to be up", show=self.process.log_tail)
        return self

    def wait_captured(self, *networks):
        want = sorted(networks)
        wait_until(lambda: sorted(self.captured() or []) == want, f"captures {want}",
                   show=lambda: f"{self.captured()}\n{self.process.log_tail()}")

    def helper_pid(self):
        """The one child of the main process."""
        with open(f"/proc/{self.pid()}/task/{self.pid()}/children", encoding="ascii") as f:
            children = f.read().split()
        assert len(children) == 1, children
        return int(children[0])

    def pid(self):
        """nsenter executes the program, so that it is the process that was started."""
        return self.process.pid


def network_state(sites, role="user"):
    """What routing there is, as text that can be compared."""
    parts = [sites.ip_json(role, *argv) for argv in (
        ("rule",), ("-6", "rule"), ("route", "show", "table", "all"),
        ("-6", "route", "show", "table", "all"), ("link",), ("addr",))]
    rows = [json.loads(p or "[]") for p in parts]
    for row in rows[4] + rows[5]:
        # Counters of addresses' lives go on.
        for address in row.get("addr_info", []):
            address.pop("valid_life_time", None)
            address.pop("preferred_life_time", None)
    return json.dumps(rows, sort_keys=True, indent=1)
