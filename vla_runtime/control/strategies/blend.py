"""Fade from the trajectory in force into the newest chunk."""

from __future__ import annotations

from dataclasses import replace

from vla_runtime.control.strategies.plan import Plan
from vla_runtime.control.strategies.strategy import Plans

__all__ = ["Blend"]


class Blend:
    """a(t) = (1 - w) old(t) + w new(t): both are followed as time goes on, while w rises from 0 to 1.

    With x = (t - takeover) / fade, w = 10 x³ - 15 x⁴ + 6 x⁵, the step of least jerk (Flash and Hogan 1985): its rate
    and curvature are 0 at both ends, so the fade adds no jump, no kink and no kick. ``old`` is what was in force, a
    fade that is not over included. A chunk that runs out slows down to rest, and that is what the next one fades from.

    Args:
        rows: how many rows' time a fade lasts.
        dt_ns: the time of one.
    """

    def __init__(self, rows: float, dt_ns: int) -> None:
        self.coast_rows = rows
        self._fade_ns = max(1, round(rows * dt_ns))

    def follow(self, plans: Plans, new: Plan) -> Plans:
        if not plans:
            return (new,)
        return (*_in_force(plans, new.takeover_ns), replace(new, fade_ns=self._fade_ns))

    def at(self, plans: Plans, now_ns: int) -> list[float]:
        first, *fading = _in_force(plans, now_ns)
        action = first.at(now_ns)
        for plan in fading:
            x = (now_ns - plan.takeover_ns) / plan.fade_ns
            weight = x * x * x * (10.0 + x * (6.0 * x - 15.0))
            action = [old + weight * (new - old) for old, new in zip(action, plan.at(now_ns), strict=True)]
        return action


def _in_force(plans: Plans, now_ns: int) -> Plans:
    """From the newest plan that has taken over wholly."""
    for index in range(len(plans) - 1, 0, -1):
        if now_ns >= plans[index].takeover_ns + plans[index].fade_ns:
            return plans[index:]
    return plans
