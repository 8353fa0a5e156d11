"""Real-time chunking: how much each row of a new chunk is bound to the plan it continues, and which draw fits best.

Black, Galliker, Levine: "Real-Time Execution of Action Chunking Flow Policies", 2025.
"""

from __future__ import annotations

import numpy as np

from vla_runtime.core.types import F32, Continuation

__all__ = ["nearest", "prefix_weights"]


def prefix_weights(rows: int, delay: int, overlap: int) -> F32:
    """The soft mask f32[rows]: 1 before ``delay``, then falling, 0 from ``overlap`` on.

    Between, W_i = c (e^c - 1) / (e - 1) with c = (overlap - i) / (overlap - delay + 1).

    Args:
        rows: H, the chunk length.
        delay: d; rows that will have been executed when the chunk takes over, whether or not the old plan covers them.
        overlap: H - s; rows that the old plan covers.

    Raises:
        ValueError: ``delay`` or ``overlap`` is not within 0 to ``rows``.
    """
    for name, value in (("delay", delay), ("overlap", overlap)):
        if not 0 <= value <= rows:
            raise ValueError(f"{name} is {value}, expected 0 to the chunk length {rows}")
    i = np.arange(rows)
    c = np.clip((overlap - i) / max(1, overlap - delay + 1), 0.0, 1.0)
    weights: F32 = np.where(i < delay, 1.0, c * np.expm1(c) / np.expm1(1.0)).astype(np.float32)
    return weights


def nearest(draws: F32, continuation: Continuation, scale: F32) -> int:
    """Which of ``draws`` f32[N, H, A] lies nearest to what is committed: the first, where several do.

    The squared distance to ``continuation.prev_chunk`` in units of ``scale`` f32[A] (the action's standard deviation),
    each row weighted as the continuation says. A draw with a value that is not finite is the farthest, a spread of 0
    counts as 1.
    """
    apart = (draws.astype(np.float64) - continuation.prev_chunk) / np.where(scale > 0, scale, 1.0)
    with np.errstate(invalid="ignore"):  # 0 times infinity
        distance = (apart**2).sum(axis=2) @ continuation.weights.astype(np.float64)
    finite = np.isfinite(draws).all(axis=(1, 2))
    return int(np.argmin(np.where(finite, distance, np.inf)))
