"""Average all chunks that say something about now."""

from __future__ import annotations

import math

from vla_runtime.control.strategies.plan import Plan
from vla_runtime.control.strategies.strategy import Plans

__all__ = ["Ensemble"]


class Ensemble:
    """Temporal ensembling (Zhao et al. 2023, ACT): the mean of all that have a row for now, weighted by exp(-decay i).

    i = 0 is the oldest. A larger ``decay`` trusts new chunks less. Past its last row a chunk says nothing new: only the
    newest is followed there.
    """

    coast_rows = 0.0

    def __init__(self, decay: float) -> None:
        self._decay = decay

    def follow(self, plans: Plans, new: Plan) -> Plans:
        return (*(plan for plan in plans if _says(plan, new.takeover_ns)), new)

    def at(self, plans: Plans, now_ns: int) -> list[float]:
        covering = [plan for plan in plans if _says(plan, now_ns)]
        if len(covering) < 2:
            return plans[-1].at(now_ns)
        weights = [math.exp(-self._decay * i) for i in range(len(covering))]
        total = sum(weights)
        points = [plan.at(now_ns) for plan in covering]
        return [
            sum(weight * value for weight, value in zip(weights, joint, strict=True)) / total
            for joint in zip(*points, strict=True)
        ]


def _says(plan: Plan, now_ns: int) -> bool:
    return now_ns <= plan.last_ns and now_ns < plan.end_ns
