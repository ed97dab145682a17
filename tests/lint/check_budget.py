# SPDX-License-Identifier: Apache-2.0
"""Length budgets: functions (median below 17 lines, none above 120) and files (800 at most).

A function's length is that of its body with both braces. The format has a function's braces, and
nothing else's, in column 0.
"""

import statistics

from lint import FOLDERS, finish, text_of, tree

FUNCTION_MEDIAN = 17
FUNCTION_MAX = 120
FUNCTION_LONG = 80
FILE_MAX = 800
FILE_LONG = 500


def functions(path):
    """(name line, length) of each function of a file."""
    start = None
    lines = text_of(path).splitlines()
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield lines[start - 2].strip(), number - start + 1
            start = None


def main():
    problems, lengths = [], []
    for path in tree(".c", ".h", folders=FOLDERS):
        n_lines = text_of(path).count("\n")
        if n_lines > FILE_MAX:
            problems.append(f"{path}: {n_lines} lines, at most {FILE_MAX}")
        elif n_lines > FILE_LONG:
            print(f"long: {path}: {n_lines} lines")
        for name, length in functions(path):
            lengths.append(length)
            if length > FUNCTION_MAX:
                problems.append(f"{path}: {length} lines, at most {FUNCTION_MAX}: {name}")
            elif length > FUNCTION_LONG:
                print(f"long: {path}: {length} lines: {name}")
    median = statistics.median(lengths) if lengths else 0
    if median >= FUNCTION_MEDIAN:
        problems.append(f"the median function has {median} lines, {FUNCTION_MEDIAN} is too many")
    finish(problems, f"{len(lengths)} functions, median {median} lines")


main()
