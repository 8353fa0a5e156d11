"""Whether commands kept a robot's limits: plain arithmetic on what was sent, knowing nothing of how it was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["excess", "worst"]

_ROUNDING = 4e-12
"""What a command may be off its curve, relative to the joint's size: a difference of order n makes 2^n T^-n of it."""


def excess(
    commands: Sequence[Sequence[float]], pose: Sequence[float], period_s: float, low, high, *bounds
) -> dict[str, float]:
    """By how much ``commands`` [N, D] exceed each limit, at most; not above 0 where the limit was kept.

    Args:
        pose: where the robot stood still before the first command.
        bounds: velocity, and maybe acceleration and jerk, f64[D]: what the first, second and third difference quotient
            of the commands may be.
    """
    sent = np.array(commands, dtype=np.float64)
    finite = np.isfinite(sent).all()
    found = {"finite": 0.0 if finite else np.inf}
    low, high = np.asarray(low), np.asarray(high)
    found["position"] = float(max((low - sent).max(), (sent - high).max()))
    quotients = np.concatenate([np.tile(np.asarray(pose, dtype=np.float64), (3, 1)), sent])
    size = np.maximum(np.abs(low), np.abs(high))
    for order, (name, bound) in enumerate(zip(("velocity", "acceleration", "jerk"), bounds, strict=False), start=1):
        quotients = np.diff(quotients, axis=0) / period_s
        rounding = size * _ROUNDING * (2 / period_s) ** order
        found[name] = float((np.abs(quotients) - np.asarray(bound) * (1 + 1e-9) - rounding).max())
    return found


def worst(found: dict[str, float]) -> str:
    """The limits that were exceeded, "" if none was. NaN counts as exceeded."""
    return ", ".join(f"{name} by {by:.3g}" for name, by in found.items() if not by <= 0)
