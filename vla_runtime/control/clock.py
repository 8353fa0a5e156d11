"""Clocks: the system's, and one that moves only when someone sleeps."""

from __future__ import annotations

import time

__all__ = ["SystemClock", "VirtualClock"]


class SystemClock:
    """CLOCK_MONOTONIC. It never steps, unlike wall time, and is the same in every process of one machine."""

    def now(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, deadline_ns: int) -> None:
        remaining = deadline_ns - time.monotonic_ns()
        if remaining > 0:
            time.sleep(remaining * 1e-9)


class VirtualClock:
    """Time as a number: a run under it is a pure function of its inputs."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now(self) -> int:
        return self._now_ns

    def sleep_until(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)
