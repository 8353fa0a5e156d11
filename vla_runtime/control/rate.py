"""Absolute deadlines: deadline k is ``start + k * period``, whatever happened before.

Sleeping for a period after the work drifts by the work's length each tick; re-anchoring to "now" drifts by each
delay. Accumulated deadlines do neither. An overrun keeps the phase: the missed deadlines are skipped and counted.
"""

from __future__ import annotations

__all__ = ["Rate"]


class Rate:
    """The loop's schedule. ``overruns`` counts ticks that outlasted their period, ``skipped`` the deadlines missed."""

    def __init__(self, period_ns: int, start_ns: int) -> None:
        if period_ns < 1:
            raise ValueError(f"period_ns is {period_ns}, expected at least 1")
        self.period_ns = period_ns
        self.deadline_ns = start_ns
        self.overruns = 0
        self.skipped = 0

    def next_deadline(self, now_ns: int) -> int:
        """Advance to the first deadline that is not yet past at ``now_ns``."""
        self.deadline_ns += self.period_ns
        behind = now_ns - self.deadline_ns
        if behind > 0:
            missed = -(-behind // self.period_ns)
            self.deadline_ns += missed * self.period_ns
            self.overruns += 1
            self.skipped += missed
        return self.deadline_ns
