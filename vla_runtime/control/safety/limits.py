"""A robot's limits, joint by joint, in the joint's own unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_runtime.core.errors import ConfigError
from vla_runtime.core.types import F64

__all__ = ["JointLimits"]


@dataclass(frozen=True, slots=True, eq=False)
class JointLimits:
    """What no command may break, and how far ahead of the measured pose it may be aimed.

    ``low`` and ``high`` bound the position f64[D]; ``velocity`` f64[D], per second, ``acceleration``, per second
    squared, and ``jerk``, per second cubed, bound its changes. ``lead`` f64[D] bounds the distance of a target from
    the measured position; infinite where it is unbounded. ``acceleration`` and ``jerk`` come together; both are None
    for a robot that only limits its speed.

    Raises:
        ConfigError: a limit is not finite (NaN would switch its clamp off), low is not below high, another is not
            positive, there is not one of each for every joint, or acceleration comes without jerk.
    """

    joints: tuple[str, ...]
    low: F64
    high: F64
    velocity: F64
    acceleration: F64 | None = None
    jerk: F64 | None = None
    lead: F64 | None = None

    def __post_init__(self) -> None:
        if (self.acceleration is None) != (self.jerk is None):
            raise ConfigError("limits on acceleration and jerk come together, expected both or none")
        for field in ("low", "high", "velocity", "acceleration", "jerk", "lead"):
            values: F64 | None = getattr(self, field)
            if values is not None and values.shape != (len(self.joints),):
                raise ConfigError(
                    f"{field} limits of shape {values.shape}, expected one for each of {len(self.joints)} joints"
                )
        for index, joint in enumerate(self.joints):
            low, high = float(self.low[index]), float(self.high[index])
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ConfigError(f"joint {joint!r} has position limits [{low}, {high}], expected finite low < high")
            for field in ("velocity", "acceleration", "jerk"):
                values = getattr(self, field)
                if values is not None and not (np.isfinite(values[index]) and values[index] > 0):
                    raise ConfigError(
                        f"joint {joint!r} has {field} limit {float(values[index])}, expected a finite number above 0"
                    )
            if self.lead is not None and not self.lead[index] > 0:
                raise ConfigError(f"joint {joint!r} has lead {float(self.lead[index])}, expected a number above 0")
