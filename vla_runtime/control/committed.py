"""What the loop has committed to: the commands it sent, after limits, and those it will send if nothing new comes.

A policy that continues its previous chunk must be shown what the robot was really told, not what it asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable

import numpy as np

from vla_runtime.control.safety import JointLimits
from vla_runtime.control.strategies import Plan
from vla_runtime.core.types import F64, CommittedChunk

__all__ = ["Committed"]


class Committed:
    """Remembers the commands of the last chunk length, in constant memory.

    Args:
        rows, dt_ns: chunk length H and policy step.
        period_ns: the control period.
    """

    def __init__(self, limits: JointLimits, rows: int, dt_ns: int, period_ns: int) -> None:
        self._limits, self._rows, self._dt_ns = limits, rows, dt_ns
        self._sent: deque[tuple[int, F64]] = deque(maxlen=rows * dt_ns // period_ns + 2)

    def add(self, command: F64, now_ns: int) -> None:
        """``command`` f64[D] was sent at ``now_ns``."""
        self._sent.append((now_ns, command))

    def chunk(self, plan: Plan | None, path: Callable[[int], list[float]], now_ns: int) -> CommittedChunk | None:
        """Rows on the grid of ``plan``, or from now on where there is none; None before the first command.

        A row before the newest command lies between the two commands around it. A later one is what ``path``, the plans
        that count as the strategy joins them, says for its time, inside the position limits and no farther from the row
        before it than the speed limit allows. Without a plan, or one that has run out, the robot stays.
        """
        if not self._sent:
            return None
        sent_ns, last = self._sent[-1]
        if plan is None or plan.end_ns <= now_ns:
            return CommittedChunk(np.tile(last, (self._rows, 1)).astype(np.float32), now_ns, self._dt_ns, now_ns)
        past = min(max(0, (sent_ns - plan.begin_ns) // self._dt_ns + 1), self._rows)
        rows = np.empty((self._rows, len(last)))
        for i in range(past):
            rows[i] = self._sent_for(plan.begin_ns + i * self._dt_ns)
        for i in range(past, self._rows):
            rows[i] = path(plan.begin_ns + i * self._dt_ns)
        if past < self._rows:
            self._limit(rows[past:], last)
        t0_ns = plan.chunk.t0_ns
        return CommittedChunk(rows.astype(np.float32), t0_ns, self._dt_ns, t0_ns + plan.end_ns - plan.begin_ns)

    def _sent_for(self, stamp_ns: int) -> F64:
        """What was sent for an instant: linear between two commands, the first or the last of them beyond."""
        after = bisect_right(self._sent, stamp_ns, key=_stamp)
        before_ns, before = self._sent[max(0, after - 1)]
        if after in (0, len(self._sent)) or before_ns == stamp_ns:
            return before
        next_ns, following = self._sent[after]
        return before + (stamp_ns - before_ns) / (next_ns - before_ns) * (following - before)

    def _limit(self, rows: F64, last: F64) -> None:
        """Make of ``rows`` what may follow ``last``."""
        np.maximum(rows, self._limits.low, out=rows)
        np.minimum(rows, self._limits.high, out=rows)
        step = self._limits.velocity * (self._dt_ns * 1e-9)
        before = np.empty_like(rows)
        before[0], before[1:] = last, rows[:-1]
        if (np.abs(rows - before) <= step).all():
            return
        row = last
        for wanted in rows:
            row = wanted[:] = np.minimum(np.maximum(wanted, row - step), row + step)


def _stamp(sent: tuple[int, F64]) -> int:
    return sent[0]
