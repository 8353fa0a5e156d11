"""Smooth random offsets on the commands, so that demonstrations show how to recover.

Noise injected into the demonstrator's commands, while the demonstrator's own are kept as the answer, teaches a policy
to come back from where its own errors lead it (Laskey et al., DART: Noise Injection for Robust Imitation Learning,
CoRL 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vla_runtime.control.safety import JointLimits
from vla_runtime.core.spec import Unit
from vla_runtime.core.types import F64

__all__ = ["Disturbance", "disturbance_scale"]

_TIME_CONSTANT_S = 0.3
_SALT = 0xD157


class Disturbance:
    """Adds an offset to each command, and keeps the sum inside the limits. The same seed adds the same offsets.

    Each joint's offset is an Ornstein-Uhlenbeck process seen through a first-order lag of the same time constant, so
    that its speed is continuous too: x'' + 2 x' / tau + x / tau² = white noise, exact at the instants of the commands,
    from 0 at rest to a standard deviation of f times ``scale``, with f uniform in [0, 1) for each episode.

    Args:
        scale: f64[D], each joint's largest standard deviation.
        period_s: time between two commands.
    """

    def __init__(self, limits: JointLimits, scale: F64, period_s: float, seed: int) -> None:
        self._random = np.random.default_rng([_SALT, seed])
        self._limits = limits
        self._scale = scale * self._random.uniform()
        rate = 1.0 / _TIME_CONSTANT_S
        decay = math.exp(-rate * period_s)
        # Of (x, x' / rate), whose stationary covariance is the identity for a unit standard deviation.
        shift = rate * period_s
        self._advance = decay * np.array([[1.0 + shift, shift], [-shift, 1.0 - shift]])
        self._noise = np.linalg.cholesky(np.eye(2) - self._advance @ self._advance.T)
        self._motion = np.zeros((2, len(scale)))

    def __call__(self, command: F64) -> F64:
        """``command`` f64[D] with the offset of the next instant."""
        kick = self._noise @ self._random.standard_normal(self._motion.shape)
        self._motion = self._advance @ self._motion + kick
        disturbed: F64 = command + self._scale * self._motion[0]
        return np.minimum(np.maximum(disturbed, self._limits.low), self._limits.high)


def disturbance_scale(disturb: float, limits: JointLimits, units: Sequence[Unit]) -> F64:
    """f64[D]: ``disturb`` rad for joints in rad; for others as much of their range as that is of the mean rad range.

    Without a joint in rad, ``disturb`` stands for a joint of mean range.
    """
    span = limits.high - limits.low
    turning = np.array([unit == "rad" for unit in units])
    mean = float(span[turning].mean()) if turning.any() else float(span.mean())
    return np.where(turning, disturb, disturb * span / mean)
