"""What a store knows about its states and actions, dimension by dimension."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_runtime.learn.moments import Moments
from vla_runtime.learn.store.quantiles import Sketch
from vla_runtime.learn.summary import Summary

__all__ = ["Column", "Running", "Statistics", "summary"]


@dataclass(frozen=True)
class Column:
    """One dimension, in its physical unit. ``std`` is that of the population; ``q01``, ``q99``: see ``Sketch``."""

    name: str
    count: int
    mean: float
    std: float
    min: float
    max: float
    q01: float
    q99: float


@dataclass(frozen=True)
class Statistics:
    """Of all episodes: the state of every sample, and every row of every chunk that is no padding."""

    state: tuple[Column, ...]
    action: tuple[Column, ...]


def summary(parts: Iterable[Moments], columns: Sequence[Column]) -> Summary:
    """Of the vectors of all ``parts``; the percentiles, which parts do not have, are those of ``columns``."""
    of = Moments.of_all(parts, len(columns))
    return Summary.stated(
        [column.name for column in columns],
        mean=of.mean.tolist(),
        std=of.std.tolist(),
        low=of.low.tolist(),
        high=of.high.tolist(),
        q01=[column.q01 for column in columns],
        q99=[column.q99 for column in columns],
    )


class Running:
    """The statistics of vectors with the dimensions ``names``, while they are seen."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._moments = Moments.none(len(names))
        self._sketch = Sketch(len(names))

    def see(self, values: NDArray[np.float32]) -> Moments:
        """Take in ``values`` [N, D]; returns the moments of these alone."""
        found = Moments.of(values)
        self._moments = self._moments.merge(found)
        self._sketch.add(values)
        return found

    def columns(self) -> tuple[Column, ...]:
        """Of all that was seen."""
        m = self._moments
        rows = (m.mean, m.std, m.low, m.high, self._sketch.quantile(0.01), self._sketch.quantile(0.99))
        return tuple(
            Column(name, m.count, *values)
            for name, *values in zip(self._names, *(row.tolist() for row in rows), strict=True)
        )
