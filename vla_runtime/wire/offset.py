"""How far another machine's clock is from ours, with the error that this may have.

An exchange proves an interval: what they read lies between our sending and our receiving, so their clock minus ours
is between ``theirs - received`` and ``theirs - sent``. Every later exchange narrows the interval, and time widens it
again, by the drift that two clocks may have. So the midpoint is as good as the shortest round trip lately, or better.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_DRIFT", "ClockOffset", "Offset"]

MAX_DRIFT = 200e-6
"""How much faster one clock may be than another: quartz drifts 50 ppm, time services slew."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Their clock minus ours, and how far this may be off."""

    ns: int
    error_ns: int


class ClockOffset:
    """The offset of one clock. ``steps`` counts how often it jumped, or drifted beyond ``MAX_DRIFT``.

    May be asked from another thread than the one that tells it the exchanges.
    """

    def __init__(self) -> None:
        self._known: tuple[int, int, int] | None = None  # low, high, at what time of ours
        self.steps = 0

    def exchange(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """They read ``theirs_ns`` after we asked at ``sent_ns`` and before we heard it at ``received_ns``."""
        if received_ns < sent_ns:
            return
        drift_ns = round(MAX_DRIFT * (received_ns - sent_ns)) + 1  # since they read it
        low, high = theirs_ns - received_ns - drift_ns, theirs_ns - sent_ns + drift_ns
        if self._known is not None:
            before_low, before_high = self._interval(self._known, received_ns)
            if before_low <= high and low <= before_high:
                low, high = max(low, before_low), min(high, before_high)
            else:
                self.steps += 1
        self._known = low, high, received_ns

    def at(self, now_ns: int) -> Offset | None:
        """The offset at ``now_ns``, None before the first exchange."""
        known = self._known
        if known is None:
            return None
        low, high = self._interval(known, now_ns)
        return Offset((low + high) // 2, (high - low + 1) // 2)

    def _interval(self, known: tuple[int, int, int], now_ns: int) -> tuple[int, int]:
        low, high, at_ns = known
        drift_ns = round(MAX_DRIFT * abs(now_ns - at_ns)) + 1
        return low - drift_ns, high + drift_ns
