"""No target far ahead of where the robot is: a blocked arm must not be wound up like a spring."""

from __future__ import annotations

import numpy as np

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.rule import Vector

__all__ = ["LeadRule"]


class LeadRule:
    """Keeps each joint's target within ``lead`` of the measured position.

    It bounds the target. The command itself cannot jump when the robot is pushed away: it is led back inside its
    limits on velocity, acceleration and jerk. A measured position outside the limits does not pull the target out.
    """

    name = "lead"

    def __init__(self, limits: JointLimits) -> None:
        lead = np.full(len(limits.joints), np.inf) if limits.lead is None else limits.lead
        self._lead: Vector = lead.tolist()
        self._low: Vector = limits.low.tolist()
        self._high: Vector = limits.high.tolist()

    def apply(self, target: Vector, command: Vector, measured: Vector) -> Vector:
        for x, here, lead in zip(target, measured, self._lead, strict=True):
            if not -lead <= x - here <= lead:
                break
        else:
            return target
        return [
            min(max(x, here - lead, low), here + lead, high) if low <= here <= high else x
            for x, here, lead, low, high in zip(target, measured, self._lead, self._low, self._high, strict=True)
        ]
