# SPDX-License-Identifier: Apache-2.0
"""shellcheck is content with every shell script, and the two of the README stay short."""

import os
import shutil
import subprocess
import sys

from lint import SOURCE, finish, require, text_of, tree

SHORT = {"quickstart": 30, "run-tests": 30, "Makefile": 60}


def is_shell(path):
    if path.startswith("tests/golden/") or os.path.splitext(path)[1] not in ("", ".sh"):
        return False
    try:
        head = text_of(path).split("\n", 1)[0]
    except UnicodeDecodeError:
        return False
    return head in ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash")


def main():
    problems = [f"{path}: below {limit} lines, please" for path, limit in SHORT.items()
                if text_of(path).count("\n") >= limit]
    scripts = [path for path in tree() if is_shell(path)]
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-x", *scripts], cwd=SOURCE, stdout=subprocess.PIPE,
                              text=True)
        problems += done.stdout.splitlines() if done.returncode else []
    elif not problems:
        sys.exit(require("shellcheck", "shellcheck isn't installed"))
    finish(problems, f"{len(scripts)} scripts")


main()
