"""A controlled stop by whoever owns the actuators: from the last commands to rest, inside the limits."""

from __future__ import annotations

from collections import deque

import numpy as np

from vla_runtime.control.safety import JointLimits, default_motion
from vla_runtime.core.types import F64

__all__ = ["Braking"]

_FRESH = 1.5
"""Periods of the client after which the robot has stood at its last command, and braking would set it off again."""
_STANDING = 1e-9


class Braking:
    """Continues the commands' own motion until it rests.

    Args:
        limits: without acceleration and jerk there is nothing to brake with, and the drive takes the step.
        period_ns: the device's.
    """

    def __init__(self, limits: JointLimits, period_ns: int) -> None:
        self._limits = limits
        self._motion = default_motion(limits, period_ns)
        self._last: deque[F64] = deque(maxlen=3)
        self.active = False

    def took(self, command: F64) -> None:
        """The device is given ``command`` f64[D]."""
        self._last.append(command)

    def forget(self) -> None:
        """A new episode: what was commanded before says nothing any more."""
        self._last.clear()
        self.active = False

    def begin(self, client_period_ns: int, age_ns: int) -> bool:
        """Brake from the commands so far, ``client_period_ns`` apart, the newest ``age_ns`` old; False at rest."""
        limits, period_s = self._limits, client_period_ns * 1e-9
        if self.active or len(self._last) < 2 or age_ns > _FRESH * client_period_ns:
            return self.active
        if limits.acceleration is None:
            return False
        *before, here = self._last
        velocity = (here - before[-1]) / period_s
        acceleration = np.zeros_like(here)
        if len(before) == 2:
            turn = (here - 2 * before[1] + before[0]) / period_s**2
            acceleration = np.clip(turn, -limits.acceleration, limits.acceleration)
        # The quotients are those of half a period ago; and an acceleration that has to fade still adds to the speed,
        # on the side to which it points.
        assert limits.jerk is not None
        most = limits.velocity
        fades = np.clip(acceleration * np.abs(acceleration) / (2 * limits.jerk), -2 * most, 2 * most)
        velocity = np.clip(
            velocity + acceleration * period_s / 2, -most - np.minimum(fades, 0), most - np.maximum(fades, 0)
        )
        self.active = bool((np.abs(velocity) > _STANDING).any())
        if self.active:
            self._motion.begin(here.tolist(), velocity.tolist(), acceleration.tolist())
        return self.active

    def next(self) -> F64 | None:
        """The command f64[D] of the device's next period, None when it rests."""
        if self._motion.resting:
            self.active = False
            return None
        return np.array(self._motion.brake())
