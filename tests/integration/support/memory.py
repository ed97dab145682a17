# SPDX-License-Identifier: Apache-2.0
"""What a process holds."""

import os

from support.require import need


def rss(process):
    """Resident bytes."""
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def n_descriptors(process):
    need("root")    # only root may look at the descriptors of what isn't dumpable
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def is_sanitized():
    """Sanitizers and valgrind keep freed memory: what is resident says nothing then."""
    return os.environ.get("ADIT_BUILD_DIR", "").rstrip("/").endswith(("asan", "tsan", "valgrind"))
