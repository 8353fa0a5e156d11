"""What a safety rule is."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ROUNDING", "Rule", "Vector"]

ROUNDING = 1e-6
"""A change smaller than this, in the joint's unit, is no intervention: policies compute in f32."""

Vector = list[float]
"""One value for each joint. Plain floats: for a handful of joints they cost a tenth of what an array does."""


class Rule(Protocol):
    """One reason for which the robot may not be sent where the policy wants it."""

    name: str

    def apply(self, target: Vector, command: Vector, measured: Vector) -> Vector:
        """``target`` itself where this rule has nothing against it, else a new one, the nearest that it allows.

        Args:
            command: the last one.
            measured: where the robot says that it is.
        """
        ...
