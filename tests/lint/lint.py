# SPDX-License-Identifier: Apache-2.0
"""What the checks of this folder share: where the files are, and how a check ends."""

import os
import sys

SOURCE = os.environ.get("ADIT_SOURCE_DIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("ADIT_BUILD_DIR") or os.path.join(SOURCE, "build", "dev")

FOLDERS = ("base", "routing", "wire", "tun", "ctrl", "agent", "edge", "client", "cmd")
SKIP = 77


def tree(*suffixes, folders=None):
    """Relative paths of the project's own files, sorted; build folders and .git left out."""
    found = []
    for top, names, files in os.walk(SOURCE):
        names[:] = [n for n in names
                    if n not in (".git", "__pycache__") and not n.startswith("build")]
        files = [n for n in files if n != ".git"]  # a linked worktree has a file of that name
        here = os.path.relpath(top, SOURCE)
        for name in files:
            path = os.path.normpath(os.path.join(here, name))
            if folders and path.split(os.sep)[0] not in folders:
                continue
            if not suffixes or name.endswith(suffixes):
                found.append(path)
    return sorted(found)


def text_of(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


def require(right, why):
    """A skip, or a failure where ADIT_TEST_REQUIRE names the missing right."""
    required = os.environ.get("ADIT_TEST_REQUIRE", "").split(",")
    print(f"{'required' if right in required else 'skipped'}: {why}")
    return 1 if right in required else SKIP


def finish(problems, summary):
    """Prints the problems, one a line, and ends the check."""
    for problem in problems:
        print(problem)
    print(f"{summary}; {len(problems)} problems")
    sys.exit(1 if problems else 0)
