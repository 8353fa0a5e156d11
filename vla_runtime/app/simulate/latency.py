"""How long a plan takes in virtual time: a pure function of the episode's seed and the request's number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

__all__ = ["AT_ONCE", "CALM", "RENEWAL", "STORM", "STORM_SHARE", "Latency", "Pattern"]

Pattern = Literal["constant", "jittered", "bursty"]

CALM, STORM, STORM_SHARE = 0.6, 2.2, 0.25
"""Bursty: the latency of calm requests and of those in a storm, in means, and the share of the latter."""
RENEWAL = 0.5
"""The share of requests before which the weather is drawn anew: a storm lasts 1 / (RENEWAL (1 - STORM_SHARE))."""
_WORD = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """From a request to its chunk: ``mean_ns`` on average.

    ``constant``: always. ``jittered``: uniform in [0.5, 1.5] of the mean. ``bursty``: a Markov chain of two states,
    calm and storm, from request to request.
    """

    mean_ns: int = 0
    pattern: Pattern = "constant"

    def under(self, seed: int) -> Callable[[int], int]:
        """The latency in ns by request number, in the episode with ``seed``. Equal arguments give equal latencies."""
        if self.pattern == "constant":
            return lambda seq: self.mean_ns
        draw = _Draws(seed)
        if self.pattern == "jittered":
            return lambda seq: round(self.mean_ns * (0.5 + draw(seq, "jitter")))
        return lambda seq: round(self.mean_ns * (STORM if _stormy(draw, seq) else CALM))


AT_ONCE = Latency()


def _stormy(draw: _Draws, seq: int) -> bool:
    """The weather at ``seq`` is what was drawn at the last renewal, so that it needs no memory."""
    while seq > 0 and draw(seq, "renewal") >= RENEWAL:
        seq -= 1
    return draw(seq, "weather") < STORM_SHARE


class _Draws:
    """Independent numbers, uniform in [0, 1), by request and purpose."""

    def __init__(self, seed: int) -> None:
        self._hash = blake2b(f"latency {seed}".encode(), digest_size=_WORD)

    def __call__(self, seq: int, purpose: str) -> float:
        drawn = self._hash.copy()
        drawn.update(f" {seq} {purpose}".encode())
        return int.from_bytes(drawn.digest(), "big") / (1 << 8 * _WORD)
