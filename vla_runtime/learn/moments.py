"""Mean, spread and range of vectors that are seen in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Moments"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Of ``count`` vectors: their mean, the sum of squared distances to it, and the range; f64[D] each.

    Parts are merged as Chan, Golub and LeVeque do ("Updating formulae and a pairwise algorithm for computing sample
    variances", 1979), in float64: a mean far from 0 costs no digits of the spread.
    """

    count: int
    mean: F64
    squares: F64
    low: F64
    high: F64

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Of ``values`` [..., D]; of none, if there are none."""
        values = np.asarray(values)
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        if not len(rows):
            return cls.none(rows.shape[1])
        mean = rows.mean(0)
        return cls(len(rows), mean, np.square(rows - mean).sum(0), rows.min(0), rows.max(0))

    @classmethod
    def none(cls, dimensions: int) -> Moments:
        """Of no vectors."""
        zero, far = np.zeros(dimensions), np.full(dimensions, np.inf)
        return cls(0, zero, zero, far, -far)

    @classmethod
    def of_all(cls, parts: Iterable[Moments], dimensions: int) -> Moments:
        """Of the vectors of all ``parts``, merged in their order."""
        found = cls.none(dimensions)
        for part in parts:
            found = found.merge(part)
        return found

    def merge(self, other: Moments) -> Moments:
        """Of the vectors of both."""
        count = self.count + other.count
        if not count:
            return self
        share = other.count / count
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + share * apart,
            self.squares + other.squares + self.count * share * np.square(apart),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def std(self) -> F64:
        """f64[D], of the vectors as a whole population (no correction)."""
        return np.sqrt(self.squares / max(self.count, 1))
