# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone, with gcc and with clang."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from lint import FOLDERS, SOURCE, finish, require, tree

FLAGS = ("-std=gnu17", "-D_GNU_SOURCE=", f"-I{SOURCE}", "-Wall", "-Wextra", "-Wpedantic",
         "-Werror", "-Wno-unused-function", "-fsyntax-only", "-x", "c", "-")


def compile_alone(job):
    compiler, header = job
    done = subprocess.run((compiler, *FLAGS), input=f'#include "{header}"\nextern int unused;\n',
                          stderr=subprocess.PIPE, text=True)
    return f"{compiler}: {header} needs more than it includes\n{done.stderr}" \
        if done.returncode else None


def main():
    headers = tree(".h", folders=FOLDERS)
    compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    if "clang" not in compilers and "clang" in os.environ.get("ADIT_TEST_REQUIRE", "").split(","):
        sys.exit(require("clang", "clang isn't installed"))
    jobs = [(c, h) for c in compilers for h in headers]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(compile_alone, jobs) if p]
    finish(problems, f"{len(headers)} headers, {' and '.join(compilers)}")


main()
