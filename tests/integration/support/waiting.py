# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline: the only way that tests wait.

The deadline is there to end a broken test, not to measure anything: it is much longer
than what is waited for normally takes.
"""

import time

DEADLINE_S = 60


def wait_until(condition, what, deadline_s=DEADLINE_S, show=None):
    """Polls @condition until it is true and returns its value.

    @show: called on failure, its text goes into the message."""
    end = time.monotonic() + deadline_s
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            detail = f"\n{show()}" if show else ""
            raise AssertionError(f"waited {deadline_s} s in vain for: {what}{detail}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
