# SPDX-License-Identifier: Apache-2.0
"""clang-format has nothing to change."""

import shutil
import subprocess
import sys

from lint import SOURCE, finish, require, tree


def main():
    if not shutil.which("clang-format"):
        sys.exit(require("clang-format", "clang-format isn't installed"))
    files = tree(".c", ".h")
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=SOURCE,
                          stderr=subprocess.PIPE, text=True)
    finish([line for line in done.stderr.splitlines() if "error:" in line], f"{len(files)} files")


main()
