# SPDX-License-Identifier: Apache-2.0
"""Every file: licence line first, a name that says something, nothing of the machine it was made on."""

import os
import re

from lint import FOLDERS, finish, text_of, tree

SPDX = "SPDX-License-Identifier: Apache-2.0"
SPDX_SUFFIXES = (".c", ".h", ".py", ".sh", ".cmake", ".in", ".sysusers", "CMakeLists.txt", ".capnp")
SCRIPTS = ("quickstart", "run-tests", "Makefile", "scripts/install-packages", ".ci/run")
DRAWERS = ("util", "utils", "common", "misc", "helper", "helpers")
# In pieces, so that this file doesn't find itself.
MACHINE = re.compile("|".join(("/" + "work/(main|wt|shared)", "/" + "tmp/b-", "/" + "root/")))
BINARY = (".bin", ".pem", ".der", ".png")


def has_licence(path):
    head = text_of(path).splitlines()[:2]
    if not head:
        return True  # __init__.py
    # A script's first line is its interpreter.
    return SPDX in (head[1] if head[0].startswith("#!") and len(head) > 1 else head[0])


def judge(path):
    stem = os.path.splitext(os.path.basename(path))[0]
    if path.split("/")[0] in FOLDERS and stem in DRAWERS:
        yield f"{path}: a drawer; name it by its noun"
    if (path.endswith(SPDX_SUFFIXES) or path in SCRIPTS) and not has_licence(path):
        yield f"{path}: the first line isn't {SPDX}"
    if path.endswith(BINARY) or path.startswith(("tests/golden/", "tests/fuzz/corpus/")):
        return
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if MACHINE.search(line):
            yield f"{path}:{number}: a path of one machine"
        if path.endswith((".c", ".h")) and "TODO" in line:
            yield f"{path}:{number}: unfinished"


def main():
    files = tree()
    finish([problem for path in files for problem in judge(path)], f"{len(files)} files")


main()
