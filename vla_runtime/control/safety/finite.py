"""Nothing that is not a number is ever sent."""

from __future__ import annotations

from math import isfinite

from vla_runtime.control.safety.rule import Vector

__all__ = ["FiniteRule"]


class FiniteRule:
    """A joint whose target is NaN or infinite is told to stay at its previous command."""

    name = "finite"

    def apply(self, target: Vector, command: Vector, measured: Vector) -> Vector:
        if all(map(isfinite, target)):
            return target
        return [x if isfinite(x) else before for x, before in zip(target, command, strict=True)]
