"""No target outside a joint's range."""

from __future__ import annotations

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.rule import Vector

__all__ = ["PositionRule"]


class PositionRule:
    """Clamps each joint's target to [low, high]. Relies on a finite target: NaN would pass min and max.

    That the way to such a target also stays inside, and slows down in time before a limit, is the trajectory's part.
    """

    name = "position"

    def __init__(self, limits: JointLimits) -> None:
        self._low: Vector = limits.low.tolist()
        self._high: Vector = limits.high.tolist()

    def apply(self, target: Vector, command: Vector, measured: Vector) -> Vector:
        low, high = self._low, self._high
        for x, least, most in zip(target, low, high, strict=True):
            if not least <= x <= most:
                return [min(max(x, least), most) for x, least, most in zip(target, low, high, strict=True)]
        return target
