"""How much more often one executor succeeds than another on the same seeds."""

from __future__ import annotations

import math

__all__ = ["difference"]

_Z = 1.959963984540054


def difference(own: str, other: str) -> tuple[float, float, float]:
    """The difference of the success rates, and its 95 % interval.

    Args:
        own: "1" for each seed with success, else "0"; ``other`` likewise, of the same seeds.

    The interval is Wald's for matched pairs with half a pair added to each of the four kinds (A. Agresti, Y. Min,
    Simple Improved Confidence Intervals for Comparing Matched Proportions, Statistics in Medicine 24, 2005).

    Raises:
        ValueError: different numbers of seeds.
    """
    pairs = list(zip(own, other, strict=True))
    better, worse = pairs.count(("1", "0")), pairs.count(("0", "1"))
    count = len(pairs) + 2
    centre = (better - worse) / count
    half = _Z * math.sqrt(better + worse + 1 - (better - worse) ** 2 / count) / count
    return (better - worse) / len(pairs), max(-1.0, centre - half), min(1.0, centre + half)
