# SPDX-License-Identifier: Apache-2.0
"""One-way dependencies: who may include whom, and the one home of each library."""

import fnmatch
import re

from lint import FOLDERS, finish, text_of, tree

MAY_INCLUDE = {
    "base": (),
    "routing": ("base",),
    "wire": ("base",),
    "tun": ("base", "routing"),
    "ctrl": ("base",),
    "agent": ("base", "routing", "wire", "tun", "ctrl"),
    "edge": ("base", "routing", "wire", "ctrl"),
    "client": ("base", "routing", "wire", "tun", "ctrl"),
    "cmd": FOLDERS,
    "bench": FOLDERS,
}

# Header prefix: the files that may include it.
HOMES = {
    "nghttp2/": ("wire/h2_*",),
    "openssl/": ("wire/tls*", "bench/bench_relay.c"),
    "ares": ("wire/resolve*",),
    "libmnl/": ("tun/netlink*",),
    "linux/rtnetlink.h": ("tun/netlink*",),
    "linux/if_tun.h": ("tun/*", "bench/delay.c"),
    "sqlite3.h": ("edge/store*",),
    "yaml.h": ("base/yaml*",),
    "seccomp.h": ("base/syscall_filter.c",),
    "linux/landlock.h": ("base/landlock.c",),
    "jansson.h": ("*.c",),
    "uv.h": ("*.c", "wire/*", "tun/*", "ctrl/*", "agent/*", "edge/*", "client/*", "cmd/*"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def judge(path, quote, header):
    folder = path.split("/")[0]
    if quote == '"':
        target = header.split("/")[0]
        if target not in FOLDERS or "/" not in header:
            return f'{path}: "{header}" is not of the form "folder/file.h"'
        if target != folder and target not in MAY_INCLUDE[folder]:
            return f"{path}: {folder} may not include {header}"
        return None
    for prefix, homes in HOMES.items():
        if header.startswith(prefix) and not any(fnmatch.fnmatch(path, h) for h in homes):
            return f"{path}: <{header}> belongs to {', '.join(homes)}"
    return None


def main():
    files = tree(".c", ".h", folders=(*FOLDERS, "bench"))
    problems = [judge(path, *match) for path in files for match in INCLUDE.findall(text_of(path))]
    finish([p for p in problems if p], f"{len(files)} files")


main()
