"""Follow the newest chunk."""

from __future__ import annotations

from vla_runtime.control.strategies.plan import Plan
from vla_runtime.control.strategies.strategy import Plans

__all__ = ["Latest"]


class Latest:
    """The newest chunk from the tick that accepts it. A seam is as high as the two chunks differ."""

    coast_rows = 0.0

    def follow(self, plans: Plans, new: Plan) -> Plans:
        return (new,)

    def at(self, plans: Plans, now_ns: int) -> list[float]:
        return plans[-1].at(now_ns)
