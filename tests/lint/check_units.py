# SPDX-License-Identifier: Apache-2.0
"""systemd accepts the units, and finds them confined.

`verify` runs on copies whose programs are those of the build; `security` judges the units as
installed: exposure at most 1.5 for the agent and the edge, 2.2 for the client (which makes a device
and a network namespace).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from lint import BUILD, require

UNITS = {"adit.service": ("adit", 15), "adit@.service": ("adit", 15),
         "adit-edge.service": ("adit-edge", 15), "adit-client@.service": ("adit", 22)}


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
            status, output = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
                                 f"--threshold={threshold}",
                                 os.path.join(BUILD, "systemd", unit))
            print(output.strip().splitlines()[-1])
            if status:
                print(output)
                bad += 1
    return 1 if bad else 0


sys.exit(main())
