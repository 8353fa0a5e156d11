"""A histogram of durations in constant memory, exact to 1 %.

Log-linear buckets as in HdrHistogram: each power of two is split into 128 equal buckets, so a value is known to
1/128 of itself however large it is, and recording one costs a shift and an increment.
"""

from __future__ import annotations

__all__ = ["Histogram"]

_SUB_BITS = 7
_SUB = 1 << _SUB_BITS
_LARGEST = 1 << 42  # 73 minutes in ns; longer values count as this long


class Histogram:
    """Counts of non-negative ints (negative ones count as 0)."""

    def __init__(self) -> None:
        self._counts = [0] * (_bucket(_LARGEST) + 1)
        self.count = 0
        self.largest = 0

    def add(self, value: int) -> None:
        value = min(max(value, 0), _LARGEST)
        self._counts[_bucket(value)] += 1
        self.count += 1
        self.largest = max(self.largest, value)

    def merge(self, other: Histogram) -> None:
        """Add every value that ``other`` holds."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def quantile(self, q: float) -> int | None:
        """The smallest recorded value that at least a share ``q`` of all values does not exceed, within 1 %.

        None while nothing has been recorded.
        """
        if not self.count:
            return None
        wanted = max(1, -int(-q * self.count // 1))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(_middle(bucket), self.largest)
        return self.largest


def _bucket(value: int) -> int:
    if value < _SUB:
        return value
    shift = value.bit_length() - 1 - _SUB_BITS
    return ((shift + 1) << _SUB_BITS) + (value >> shift) - _SUB


def _middle(bucket: int) -> int:
    if bucket < _SUB:
        return bucket
    shift = (bucket >> _SUB_BITS) - 1
    low = ((bucket & (_SUB - 1)) + _SUB) << shift
    return low + ((1 << shift) >> 1)
