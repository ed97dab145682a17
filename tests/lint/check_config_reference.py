# SPDX-License-Identifier: Apache-2.0
"""docs/config.md is what the tables of both daemons say."""

import difflib
import os
import subprocess

from lint import BUILD, finish, text_of

PAGE = "docs/config.md"


def main():
    program = os.path.join(BUILD, "cmd", "config-reference")
    wanted = subprocess.run([program], check=True, capture_output=True, text=True, timeout=60)
    have, want = text_of(PAGE).splitlines(), wanted.stdout.splitlines()
    differences = [f"{PAGE}: {line}" for line in difflib.unified_diff(have, want, lineterm="")]
    if differences:
        differences.append("run: make docs")
    finish(differences, PAGE)


main()
