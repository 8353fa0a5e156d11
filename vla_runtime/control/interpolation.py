"""From the rows of a chunk to the instant of a tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np

from vla_runtime.core.choice import Interpolation
from vla_runtime.core.types import F32, F64

__all__ = ["INTERPOLATIONS", "Trajectory"]

INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
"""``linear``: a straight line. ``cubic``: a cubic Hermite spline whose slope at a row is that between its neighbours
(Catmull and Rom 1974): speed is continuous. ``min_jerk``: the quintic of least jerk between two rows (Flash and Hogan
1985), with slope and curvature at a row from its neighbours: acceleration is continuous too. ``hold``: the row, until
the next one. Both curves may swing beyond the rows; ``linear`` and ``hold`` never do.
"""

_Point = list[float]


class Trajectory:
    """The rows of ``actions`` f32[H, A], ``dt_ns`` apart, each joint joined as ``kinds`` says (left out: ``linear``).

    Past its last row it stays there, or, with ``coast_rows`` n > 0, slows down to rest: from the last rows' speed as
    (1 - x / n)², x rows after the last, so that it goes n / 3 rows' way more. Held joints stay.

    Between row i and the next every joint is a polynomial in u = 0..1. They are kept as plain lists: at the width of a
    robot these are faster than arrays, above all in a process that has just slept.
    """

    def __init__(self, actions: F32, dt_ns: int, kinds: Sequence[Interpolation] = (), coast_rows: float = 0.0) -> None:
        rows = actions.astype(np.float64)
        self._dt_ns = dt_ns
        self._rows: list[_Point] = rows.tolist()
        self._last = len(rows) - 1
        columns = list(kinds) or ["linear"] * rows.shape[1]
        degree = max((_DEGREES[kind] for kind in columns), default=0)
        curve = np.zeros((degree + 1, self._last, rows.shape[1]))
        for kind in set(columns):
            where = [i for i, other in enumerate(columns) if other == kind]
            found = _CURVES[kind](rows[:, where]) if self._last else []
            for power, part in enumerate(found):
                curve[power][:, where] = part
        # One list for each row: a tuple of coefficients for each joint, from the constant one up.
        self._curve = [[tuple(joint) for joint in row] for row in curve.transpose(1, 2, 0).tolist()]
        self._evaluate = _EVALUATE[degree]
        self._coast_rows = coast_rows if self._last else 0.0
        slope = rows[-1] - rows[-2] if self._last else np.zeros(rows.shape[1])
        slope[[i for i, kind in enumerate(columns) if kind == "hold"]] = 0.0
        self._slope: _Point = slope.tolist()

    def at(self, elapsed_ns: int) -> _Point:
        """The action, one value for each joint, at ``elapsed_ns`` >= 0 after row 0. The list is not the caller's.

        Integer arithmetic finds the row, so an instant on the grid gives that row exactly.
        """
        row, into = divmod(elapsed_ns, self._dt_ns)
        if row >= self._last:
            return self._after(elapsed_ns) if self._coast_rows else self._rows[self._last]
        if not into:
            return self._rows[row]
        return self._evaluate(self._curve[row], into / self._dt_ns)

    def _after(self, elapsed_ns: int) -> _Point:
        left = max(0.0, 1.0 - (elapsed_ns / self._dt_ns - self._last) / self._coast_rows)
        way = self._coast_rows / 3.0 * (1.0 - left * left * left)
        return [value + way * slope for value, slope in zip(self._rows[self._last], self._slope, strict=True)]


def _hold(rows: F64) -> list[F64]:
    return [rows[:-1]]


def _linear(rows: F64) -> list[F64]:
    return [rows[:-1], rows[1:] - rows[:-1]]


def _cubic(rows: F64) -> list[F64]:
    step, slope = rows[1:] - rows[:-1], _slopes(rows)
    left, right = slope[:-1], slope[1:]
    return [rows[:-1], left, 3 * step - 2 * left - right, left + right - 2 * step]


def _min_jerk(rows: F64) -> list[F64]:
    step, slope, curvature = rows[1:] - rows[:-1], _slopes(rows), np.zeros_like(rows)
    curvature[1:-1] = step[1:] - step[:-1]
    v0, v1, a0, a1 = slope[:-1], slope[1:], curvature[:-1], curvature[1:]
    return [
        rows[:-1],
        v0,
        a0 / 2,
        10 * step - 6 * v0 - 4 * v1 - 1.5 * a0 + 0.5 * a1,
        -15 * step + 8 * v0 + 7 * v1 + 1.5 * a0 - a1,
        6 * step - 3 * v0 - 3 * v1 - 0.5 * a0 + 0.5 * a1,
    ]


def _slopes(rows: F64) -> F64:
    """Per row: between the neighbours of a row; at both ends to the only one."""
    step = rows[1:] - rows[:-1]
    return np.concatenate([step[:1], (step[1:] + step[:-1]) / 2, step[-1:]])


_CURVES: dict[Interpolation, Callable[[F64], list[F64]]] = {
    "linear": _linear,
    "cubic": _cubic,
    "min_jerk": _min_jerk,
    "hold": _hold,
}
_DEGREES: dict[Interpolation, int] = {"linear": 1, "cubic": 3, "min_jerk": 5, "hold": 0}


def _constant(joints: list[tuple[float, ...]], u: float) -> _Point:
    return [a for (a,) in joints]


def _line(joints: list[tuple[float, ...]], u: float) -> _Point:
    return [b * u + a for a, b in joints]


def _third(joints: list[tuple[float, ...]], u: float) -> _Point:
    return [((d * u + c) * u + b) * u + a for a, b, c, d in joints]


def _fifth(joints: list[tuple[float, ...]], u: float) -> _Point:
    return [((((f * u + e) * u + d) * u + c) * u + b) * u + a for a, b, c, d, e, f in joints]


_EVALUATE = {0: _constant, 1: _line, 3: _third, 5: _fifth}
