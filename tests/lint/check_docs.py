# SPDX-License-Identifier: Apache-2.0
"""The documents point at files and tests that exist, and name every word of the protocol."""

import os
import re

from lint import SOURCE, finish, text_of, tree

LINK = re.compile(r"\]\(([^)#:]+)\)")
# Paths in backticks, as far as they are files of ours.
PATH = re.compile(r"`((?:docs|tests|scripts|wire|base|edge|agent|ctrl)/[\w./-]+\.(?:md|py|sh|h|c|capnp))`")
# Tests in backticks, as ctest names them.
TEST = re.compile(r"`((unit|integration|fuzz|lint)\.(?:(\w+)\.)?(\w+))`")
TEST_FILES = {
    "unit": "tests/unit/{1}/test_{2}.c",
    "integration": "tests/integration/test_{2}.py",
    "fuzz": "tests/fuzz/fuzz_{2}.c",
    "lint": "tests/lint/check_{2}.py",
}
HEADER_NAME = re.compile(r'^#define (?:HDR|UPGRADE|FEATURE)_\w+\s+"([^"]+)"', re.M)
ERROR_NAME = re.compile(r'\[STREAM_ERROR_(?!NONE)\w+\] = \{"([\w-]+)"')


def broken_links(page):
    text, folder = text_of(page), os.path.dirname(page)
    for target in LINK.findall(text):
        if not os.path.exists(os.path.join(SOURCE, folder, target)):
            yield f"{page}: links to {target}, which isn't there"
    for target in PATH.findall(text):
        if not os.path.exists(os.path.join(SOURCE, target)):
            yield f"{page}: names {target}, which isn't there"
    for name, *parts in TEST.findall(text):
        if not os.path.exists(os.path.join(SOURCE, TEST_FILES[parts[0]].format(*parts))):
            yield f"{page}: names the test {name}, which isn't there"


def unnamed_words():
    protocol = text_of("docs/protocol.md")
    words = HEADER_NAME.findall(text_of("wire/proto.h")) + ERROR_NAME.findall(text_of("wire/proto.c"))
    for word in words:
        if word not in protocol:
            yield f"docs/protocol.md: doesn't say what {word} is"


def main():
    pages = tree(".md")
    problems = [problem for page in pages for problem in broken_links(page)]
    finish(problems + list(unnamed_words()), f"{len(pages)} pages")


main()
