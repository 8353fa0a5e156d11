"""A histogram of durations in constant memory, exact to 1 %.

Log-linear buckets as in HdrHistogram: each power of two is split into 128 equal buckets, so a value is known to
1/128 of itself however large it is, and recording one costs a shift and an increment.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Histogram"]

_SUB_BITS = 7
_SUB = 1 << _SUB_BITS
_LARGEST = 1 << 42  # 73 minutes in ns; longer values count as this long
_BUCKETS = ((_LARGEST.bit_length() - 1 - _SUB_BITS) << _SUB_BITS) + _SUB + 1


class Histogram:
    """Counts of non-negative ints (negative ones count as 0)."""

    __slots__ = ("_counts", "_seen")

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _BUCKETS))  # of 8 bytes each, whatever they count
        self._seen = -1  # the largest value so far

    def add(self, value: int) -> None:
        """Record one value."""
        # A tick records several: no call in here, and bounds are looked at only beyond what was seen before.
        if 0 <= value <= self._seen:
            shift = value.bit_length() - 8
            if shift > 0:
                self._counts[(shift << 7) + (value >> shift)] += 1
            else:
                self._counts[value] += 1
        else:
            self._widen(value)

    def _widen(self, value: int) -> None:
        value = min(max(value, 0), _LARGEST)
        self._seen = max(self._seen, value)
        self._counts[_bucket(value)] += 1

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._view().sum())

    @property
    def largest(self) -> int:
        """The largest value, exactly; 0 while there is none."""
        return max(self._seen, 0)

    @property
    def nbytes(self) -> int:
        """Memory that the counts take."""
        return self._view().nbytes

    def merge(self, other: Histogram) -> None:
        """Add every value that ``other`` holds."""
        counts = self._view()
        counts += other._view()
        self._seen = max(self._seen, other._seen)

    def clear(self) -> None:
        """Forget every value."""
        self._view()[:] = 0
        self._seen = -1

    def quantile(self, q: float) -> int | None:
        """The smallest recorded value that at least a share ``q`` of all values does not exceed, within 1 %.

        None while nothing has been recorded.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, shares: Sequence[float]) -> list[int | None]:
        """The quantile at each of ``shares``."""
        up_to = self._view().cumsum()
        count = int(up_to[-1])
        if not count:
            return [None] * len(shares)
        # At most all of them: q * count may be rounded up.
        ranks = [min(max(1, -int(-q * count // 1)), count) for q in shares]
        return [min(int(_MIDDLES[bucket]), self._seen) for bucket in up_to.searchsorted(ranks)]

    def cumulative(self, bounds: Sequence[int]) -> list[int]:
        """How many values are at most each of ``bounds``, to within the 1 % by which a value is known."""
        up_to = np.concatenate([[0], self._view().cumsum()])
        found: list[int] = up_to[_MIDDLES.searchsorted(np.array(bounds), side="right")].tolist()
        return found

    def total(self) -> int:
        """The sum of all values, within 1 %."""
        return int((self._view() * _MIDDLES).sum())

    def _view(self) -> npt.NDArray[np.int64]:
        return np.frombuffer(self._counts, np.int64)


def _bucket(value: int) -> int:
    shift = max(value.bit_length() - 1 - _SUB_BITS, 0)
    return (shift << _SUB_BITS) + (value >> shift)


def _middles() -> npt.NDArray[np.int64]:
    """The middle of every bucket."""
    buckets = np.arange(_BUCKETS)
    shift = np.maximum((buckets >> _SUB_BITS) - 1, 0)
    low = np.where(buckets < _SUB, buckets, ((buckets & (_SUB - 1)) + _SUB) << shift)
    found: npt.NDArray[np.int64] = low + ((1 << shift) >> 1)
    return found


_MIDDLES = _middles()
