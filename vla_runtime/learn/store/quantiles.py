"""Quantiles of a stream in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Sketch"]

_FULL = 8192


class Sketch:
    """Quantiles of vectors [D] seen one part after another, each dimension by itself.

    A level that holds 8192 values is sorted and every other value goes up a level, where it counts twice (Manku,
    Rajagopalan, Lindsay 1998; with random offsets as in Karnin, Lang, Liberty 2016, "Optimal Quantile Approximation in
    Streams"). Quality: exact, as ``numpy.quantile``, of up to 8191 vectors. Beyond, each level can shift a rank by one
    part in 8192, so after 100 million vectors the value given for q01 lies between the true quantiles 0.008 and 0.012
    whatever the data are; since the offsets are random it is about ten times as near. Memory: 64 kB a dimension for
    each level, of which 100 million vectors have 14. The same vectors in the same order give the same values.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._levels: list[list[NDArray[np.float64]]] = [[]]
        self._random = np.random.default_rng(0)

    @property
    def count(self) -> int:
        """The vectors seen."""
        return sum(_size(level) << height for height, level in enumerate(self._levels))

    def add(self, values: ArrayLike) -> None:
        """See ``values`` [..., D]."""
        values = np.asarray(values)
        self._put(0, values.reshape(-1, self._dimensions).astype(np.float64))

    def merge(self, other: Sketch) -> None:
        """See all that ``other`` has seen."""
        for height, level in enumerate(other._levels):
            for part in level:
                self._put(height, part)

    def quantile(self, q: float) -> NDArray[np.float64]:
        """f64[D]; NaN if nothing was seen."""
        if not self.count:
            return np.full(self._dimensions, np.nan)
        values = np.concatenate([part for level in self._levels for part in level])
        if len(values) == self.count:
            return np.quantile(values, q, axis=0)
        weights = np.repeat([1 << height for height in range(len(self._levels))], [_size(le) for le in self._levels])
        order = np.argsort(values, axis=0, kind="stable")
        below = np.cumsum(weights[order], axis=0)
        place = np.argmax(below >= q * below[-1], axis=0)
        return np.take_along_axis(np.take_along_axis(values, order, 0), place[None], 0)[0]

    def _put(self, height: int, values: NDArray[np.float64]) -> None:
        while len(self._levels) <= height:
            self._levels.append([])
        self._levels[height].append(values)
        if _size(self._levels[height]) < _FULL:
            return
        values = np.sort(np.concatenate(self._levels[height]), axis=0)
        paired = len(values) - len(values) % 2
        # What is left over of an odd number stays, so that no weight is lost.
        self._levels[height] = [values[paired:].copy()] if paired < len(values) else []
        self._put(height + 1, values[self._random.integers(2) : paired : 2].copy())


def _size(level: list[NDArray[np.float64]]) -> int:
    return sum(map(len, level))
