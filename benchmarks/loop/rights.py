"""Real-time priority and a core of one's own, where this user may have them. Both arms get the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

__all__ = ["Rights", "rights"]

_PRIORITY = 50


@dataclass(frozen=True, slots=True)
class Rights:
    """``priority`` of SCHED_FIFO, 0 where it may not be had; ``cpu`` of the loops, -1 where there is but one.

    Everything else runs on the ``others``.
    """

    priority: int
    cpu: int
    others: frozenset[int]

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The calling thread has them inside this block, and no process that it starts before or after it."""
        try:
            if self.cpu >= 0:
                os.sched_setaffinity(0, {self.cpu})
            if self.priority:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self.priority))
            yield
        finally:
            with suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os.sched_setaffinity(0, self.others)


def rights(priority: int = _PRIORITY) -> Rights:
    """What this process may have of ``priority``, 0 for none. From here on it runs on the cores that the loops leave it, as do its children."""
    cpus = sorted(os.sched_getaffinity(0))
    cpu = cpus[-1] if len(cpus) > 1 else -1
    others = frozenset(cpus[:-1] if len(cpus) > 1 else cpus)
    try:
        if priority:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        priority = 0
    os.sched_setaffinity(0, others)
    return Rights(priority, cpu, others)
