"""How two arms compare: ratios of pooled percentiles, with intervals from a bootstrap over the blocks.

Wake-ups near each other in time share their disturbances, so whole blocks are drawn, not samples; and the arms' blocks
are drawn together, since neighbours share them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.loop.block import Block, Pooled, pool

__all__ = ["SHARES", "compare"]

SHARES = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
_DRAWS = 500


def compare(ours: Sequence[Block], other: Sequence[Block], period_ns: int, seed: int = 0) -> dict[str, Any]:
    """Ours over the other's, for each of ``SHARES`` and the misses: ``{"ratio", "low", "high"}``, 95 %.

    A ratio of misses is 1 where neither missed any, and null where only the other missed none.
    """
    random = np.random.default_rng(seed)
    count = min(len(ours), len(other))
    point = _ratios(pool(ours, period_ns), pool(other, period_ns))
    drawn: dict[str, list[float]] = {name: [] for name in point}
    for _ in range(_DRAWS):
        chosen = random.integers(0, count, count)
        ratios = _ratios(pool([ours[i] for i in chosen], period_ns), pool([other[i] for i in chosen], period_ns))
        for name, ratio in ratios.items():
            drawn[name].append(float("inf") if ratio is None else ratio)
    return {name: {"ratio": _rounded(ratio)} | _interval(drawn[name]) for name, ratio in point.items()}


def _ratios(ours: Pooled, other: Pooled) -> dict[str, float | None]:
    ratios: dict[str, float | None] = {
        name: ours.late_ns(share) / max(other.late_ns(share), 1.0) for name, share in SHARES.items()
    }
    if other.missed:
        ratios["misses"] = ours.missed_share / other.missed_share
    else:
        ratios["misses"] = None if ours.missed else 1.0
    return ratios


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    low, high = np.quantile(values, [0.025, 0.975], method="nearest")
    return {"low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)
