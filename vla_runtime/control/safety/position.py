"""No command outside a joint's range."""

from __future__ import annotations

import numpy as np

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.core.types import F64

__all__ = ["PositionRule"]


class PositionRule:
    """Clamps each joint to [low, high]. Relies on a finite target: min and max would hand NaN on."""

    name = "position"

    def __init__(self, limits: JointLimits) -> None:
        self._low, self._high = limits.low, limits.high

    def apply(self, wanted: F64, previous: F64) -> F64:
        return np.minimum(np.maximum(wanted, self._low), self._high)
