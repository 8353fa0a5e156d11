"""The Wilson score interval of a success rate."""

from __future__ import annotations

import math

__all__ = ["wilson"]

_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: two sides, 95 %."""


def wilson(successes: int, trials: int, z: float = _Z) -> tuple[float, float] | tuple[None, None]:
    """Low and high end of the score interval for a binomial proportion, 95 % unless ``z`` says otherwise.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927). (None, None)
    without trials.

    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if not trials:
        return None, None
    rate, share = successes / trials, z * z / trials
    centre = (rate + share / 2) / (1 + share)
    half = z / (1 + share) * math.sqrt(rate * (1 - rate) / trials + share / (4 * trials))
    return (0.0 if not successes else centre - half), (1.0 if successes == trials else centre + half)
