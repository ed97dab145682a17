# SPDX-License-Identifier: Apache-2.0
"""From samples to judged rows: the table for people and the JSON for programs."""

import datetime
import json
import os
import platform
import statistics
import subprocess

from lib.process import Failure, Skip
from lib.space import congestion_control


def _middle(samples, figure):
    return statistics.median(sample[figure] for sample in samples)


def judge(row, samples):
    """The row as a dict: "value" is what the goals are about; without one there is a "reason"."""
    result = {"id": row.id, "text": row.text, "unit": row.unit, "must": row.must, "aim": row.aim,
              "at_least": row.at_least, "note": row.note, "value": None}
    mine = samples.get(row.subject)
    other = samples.get(row.baseline) if row.baseline else None
    for part in (mine, other):
        if isinstance(part, (Skip, Failure)):
            return {**result, "reason": str(part)}
    result["subject"] = result["value"] = _middle(mine, row.figure)
    result["n"] = len(mine)
    if row.baseline:
        figure = row.baseline_figure or row.figure
        result["baseline"] = _middle(other, figure)
        ratios = [a[row.figure] / b[figure] for a, b in zip(mine, other) if b[figure]]
        if not ratios:
            return {**result, "value": None, "reason": "the baseline's figure is 0"}
        result["value"] = result["ratio"] = statistics.median(ratios)
        result["ratio_range"] = [min(ratios), max(ratios)]
    if "bins" in mine[0]:
        result["bins"] = [sample["bins"] for sample in mine]
    result["verdict"] = _verdict(row, result["value"])
    return result


def _verdict(row, value):
    def meets(goal):
        return goal is not None and (value >= goal if row.at_least else value <= goal)
    if row.must is None and row.aim is None:
        return ""
    if meets(row.aim):
        return "aim"
    if row.must is None:
        return "below aim"
    return "met" if meets(row.must) else "MISSED"


def machine(build):
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "processor": names[0] if names else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": [round(load, 2) for load in os.getloadavg()],
            "compiler": _compiler(build), "congestion_control": congestion_control()}


def _compiler(build):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as f:
        cache = dict(line.rstrip("\n").split("=", 1) for line in f if ":" in line and "=" in line)
    name = next((value for key, value in cache.items() if key.startswith("CMAKE_C_COMPILER:")), "cc")
    done = subprocess.run((name, "--version"), check=False, text=True, stdout=subprocess.PIPE)
    kind = next((value for key, value in cache.items() if key.startswith("CMAKE_BUILD_TYPE:")), "?")
    return f"{done.stdout.splitlines()[0]}, {kind}"


def number(value):
    if value is None:
        return ""
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def goal(row):
    sign = "≥" if row["at_least"] else "≤"
    parts = [f"{sign} {number(row[kind])}" if row[kind] is not None else "-"
             for kind in ("must", "aim")]
    return "" if parts == ["-", "-"] else " / ".join(parts)


COLUMNS = ("figure", "subject", "baseline", "ratio", "must / aim", "")


def cells(row):
    if row["value"] is None:
        return row["text"], "", "", "", goal(row), f"not measured: {row['reason']}"
    unit = f" {row['unit']}" if row["unit"] else ""
    return (row["text"], number(row["subject"]) + unit, number(row.get("baseline")),
            number(row.get("ratio")), goal(row), row["verdict"])


def table(rows):
    lines = [COLUMNS] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    for line in lines:
        text = "  ".join(cell.ljust(width) if i in (0, 4) else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(line, widths)))
        yield f"{text}  {line[5]}".rstrip()


def markdown(rows):
    yield "| figure | measured | baseline | ratio | must / aim | |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield "| " + " | ".join(cells(row)) + " |"


def write_json(path, facts, options, rows):
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"machine": facts, "options": options, "rows": rows}, f, indent=1,
                  ensure_ascii=False)
        f.write("\n")


def header(facts, options):
    load = " ".join(map(str, facts["load"]))
    return (f"adit bench, {facts['date']}: {facts['cores']} × {facts['processor']}, Linux "
            f"{facts['kernel']}, load {load}, {facts['compiler']}, TCP "
            f"{facts['congestion_control']}\n{options['pairs']} pairs where there is a baseline, "
            f"{options['mib']} MiB per transfer. A ratio is the median of the pairs' ratios, not "
            "the ratio of the\nmedians beside it. aim: the better goal is met; met: the bar is.")
