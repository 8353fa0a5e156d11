"""No command farther from the previous one than the joint may travel in one tick."""

from __future__ import annotations

import numpy as np

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.core.types import F64

__all__ = ["StepRule"]


class StepRule:
    """At most ``velocity * period`` per tick, on the *command*, also after a late tick: speed is never caught up.

    The answer lies between ``previous`` and ``wanted``, so it is inside the position limits when both are.
    """

    name = "step"

    def __init__(self, limits: JointLimits, period_ns: int) -> None:
        self._step = limits.velocity * (period_ns * 1e-9)

    def apply(self, wanted: F64, previous: F64) -> F64:
        move = wanted - previous
        return np.where(np.abs(move) <= self._step, wanted, previous + np.copysign(self._step, move))
