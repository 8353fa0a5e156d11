"""A robot's limits, joint by joint, in the joint's own unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_runtime.core.errors import ConfigError
from vla_runtime.core.types import F64

__all__ = ["JointLimits"]


@dataclass(frozen=True, slots=True, eq=False)
class JointLimits:
    """``low`` and ``high`` bound the position f64[D], ``velocity`` f64[D] the speed per second.

    Raises:
        ConfigError: a limit is not finite (NaN would switch its clamp off), low is not below high, a velocity is
            not positive, or there is not one of each for every joint.
    """

    joints: tuple[str, ...]
    low: F64
    high: F64
    velocity: F64

    def __post_init__(self) -> None:
        for field, values in (("low", self.low), ("high", self.high), ("velocity", self.velocity)):
            if values.shape != (len(self.joints),):
                raise ConfigError(
                    f"{field} limits of shape {values.shape}, expected one for each of {len(self.joints)} joints"
                )
        for index, joint in enumerate(self.joints):
            low, high, velocity = (float(values[index]) for values in (self.low, self.high, self.velocity))
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ConfigError(f"joint {joint!r} has position limits [{low}, {high}], expected finite low < high")
            if not (np.isfinite(velocity) and velocity > 0):
                raise ConfigError(f"joint {joint!r} has velocity limit {velocity}, expected a finite number above 0")
