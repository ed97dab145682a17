# SPDX-License-Identifier: Apache-2.0
"""systemd accepts the units, and finds them confined.

`verify` runs on copies whose programs are those of the build; `security` judges the units as
installed: exposure at most 1.5 for the agent and the edge, 2.2 for the client (which makes a device
and a network namespace). Their filters let through what the programs restrict themselves with, and
what they do afterwards (docs/confinement.md).
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile

from lint import BUILD, require, text_of

UNITS = {"adit.service": ("adit", 15), "adit@.service": ("adit", 15),
         "adit-edge.service": ("adit-edge", 15), "adit-client@.service": ("adit", 22)}

# What confining oneself takes; capset() of those only who have something to drop.
OWN_CALLS = {"capget", "prctl", "seccomp", "landlock_create_ruleset", "landlock_add_rule",
             "landlock_restrict_self"}
TABLES = {"adit.service": "agent/agent_confine.c", "adit@.service": "agent/agent_confine.c",
          "adit-edge.service": "edge/edge_confine.c",
          "adit-client@.service": "client/up_confine.c"}
NAMES = re.compile(r"\.names\s*=((?:\s*\\?\s*\"[\w ]+\")+)")
RULE = re.compile(r'\{"(\w+)", \d')


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def verify(folder, unit, program):
    with open(os.path.join(BUILD, "systemd", unit), encoding="utf-8") as file:
        text = file.read()
    built = os.path.join(BUILD, "cmd", program)
    text = re.sub(rf"^(Exec\w+=)\S+/{program} ", rf"\g<1>{built} ", text, flags=re.M)
    # The page is only there once installed.
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
    copy = os.path.join(folder, unit)
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text)
    return run("systemd-analyze", "verify", "--recursive-errors=no", copy)


@functools.lru_cache(maxsize=None)
def members(name):
    """The calls of a set, or the call itself."""
    if not name.startswith("@"):
        return frozenset((name,))
    lines = run("systemd-analyze", "syscall-filter", name)[1].splitlines()[1:]
    words = [line.strip() for line in lines if line.startswith("    ") and "#" not in line]
    return frozenset().union(*(members(word) for word in words))


def let_through(text):
    """What the SystemCallFilter= lines leave; the first one is a list of what is allowed."""
    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)", text, flags=re.M):
        names = frozenset().union(*(members(word) for word in line.lstrip("~").split()))
        calls = calls - names if line.startswith("~") else calls | names
    # systemd always adds these.
    return calls | members("@default")


def calls_of(*tables):
    calls = set()
    for table in tables:
        text = text_of(table)
        for strings in NAMES.findall(text):
            calls.update(" ".join(re.findall(r'"([\w ]+)"', strings)).split())
        calls.update(RULE.findall(text))
    return calls


def missing_calls(unit):
    with open(os.path.join(BUILD, "systemd", unit), encoding="utf-8") as file:
        text = file.read()
    need = OWN_CALLS | calls_of("base/syscall_groups.h", TABLES[unit])
    if re.search(r"^AmbientCapabilities=\w", text, flags=re.M):
        need.add("capset")
    return sorted(need - let_through(text))


def main():
    if not shutil.which("systemd-analyze"):
        return require("systemd", "systemd-analyze isn't installed")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for unit, (program, threshold) in UNITS.items():
            status, output = verify(folder, unit, program)
            # Anything said about our unit is a finding, also where verify itself forgives it.
            if status or unit in output or unit.replace("@", "@i") in output:
                print(f"systemd-analyze verify {unit}: {output}")
                bad += 1
            missing = missing_calls(unit)
            if missing:
                print(f"{unit}: SystemCallFilter= refuses {' '.join(missing)}")
                bad += 1
            status, output = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
                                 f"--threshold={threshold}",
                                 os.path.join(BUILD, "systemd", unit))
            print(output.strip().splitlines()[-1])
            if status:
                print(output)
                bad += 1
    return 1 if bad else 0


sys.exit(main())
