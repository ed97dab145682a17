# SPDX-License-Identifier: Apache-2.0
"""The installed examples, and the one in the README, are valid configurations."""

import os
import re
import subprocess
import tempfile

from lint import BUILD, SOURCE, finish, text_of

EXAMPLES = {"docs/config.yml.example": "adit", "docs/edge.yml.example": "adit-edge"}


def check(program, path, name):
    done = subprocess.run([os.path.join(BUILD, "cmd", program), "config", "check", path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [f"{name}: {done.stdout}"] if done.returncode or "ok" not in done.stdout else []


def main():
    problems = []
    for example, program in EXAMPLES.items():
        problems += check(program, os.path.join(SOURCE, example), example)
    for block in re.findall(r"```yaml\n(.*?)```", text_of("README.md"), re.S):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(block)
            file.flush()
            problems += check("adit", file.name, "README.md")
    finish(problems, f"{len(EXAMPLES)} examples")


main()
