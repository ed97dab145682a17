# SPDX-License-Identifier: Apache-2.0
"""Groups of programs that measure a module by itself: bench_routes.c and bench_nat.c."""

import re

from lib.process import run

PATIENCE_S = 300
_ROUTES = re.compile(r"^\s+(\w+)\s+\d+ routes\s+(\d+) ns per look-up\s+([\d.]+) bytes per route", re.M)
_NAT = re.compile(r"^IPv4\s+1500 bytes\s+full\s+checksum\s+1 flows\s+([\d.]+) ns", re.M)


def routes(stand, keys, _options):
    """Keys: ("flat",) or ("nested",), prefixes of 10,000 routes."""
    text = run((stand.tools.program("bench-routes"),), timeout_s=PATIENCE_S)
    found = {(name,): [{"ns": float(ns), "bytes": float(n_bytes)}]
             for name, ns, n_bytes in _ROUTES.findall(text)}
    return {key: found[key] for key in keys}


def nat(stand, keys, _options):
    """Key: ("warm",), one flow whose entry is in the processor's caches."""
    text = run((stand.tools.program("bench-nat"),), timeout_s=PATIENCE_S)
    return {key: [{"ns": float(_NAT.search(text).group(1))}] for key in keys}
