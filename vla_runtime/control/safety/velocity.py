"""Motion of a robot that limits its speed alone."""

from __future__ import annotations

from math import copysign

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.rule import ROUNDING, Vector

__all__ = ["VelocityLimiter"]


class VelocityLimiter:
    """At most ``velocity * period`` a tick, on the *command*, also after a late tick: speed is never caught up.

    A command lies between the previous one and the target, so it is inside the position limits when both are. The
    joint's drive has to cope with steps in velocity.
    """

    def __init__(self, limits: JointLimits, period_ns: int) -> None:
        self._step: Vector = (limits.velocity * (period_ns * 1e-9)).tolist()
        self._command: Vector = []
        self._target: Vector = []
        self._resting = True

    @property
    def command(self) -> Vector:
        return self._command

    @property
    def arrived(self) -> bool:
        return self._command == self._target

    @property
    def resting(self) -> bool:
        return self._resting

    def begin(self, pose: Vector, velocity: Vector | None = None, acceleration: Vector | None = None) -> None:
        self._command, self._resting = pose, True

    def follow(self, target: Vector) -> Vector:
        before, self._target = self._command, target
        self._command = [
            x if -step <= x - here <= step else here + copysign(step, x - here)
            for x, here, step in zip(target, before, self._step, strict=True)
        ]
        self._resting = self._command == before
        return self._command

    def brake(self) -> Vector:
        self._resting = True
        return self._command

    def kept_back(self, target: Vector) -> list[tuple[int, str]]:
        return [
            (joint, "velocity")
            for joint, (x, here) in enumerate(zip(target, self._command, strict=True))
            if not -ROUNDING <= x - here <= ROUNDING
        ]
