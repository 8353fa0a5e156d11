"""From the rows of a chunk to the instant of a tick."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.types import F32, F64

__all__ = ["Trajectory", "linear"]


class Trajectory:
    """The rows of ``actions`` f32[H, A], ``dt_ns`` apart, joined by straight lines.

    Plain lists: at the width of a robot they are faster than arrays, above all in a process that has just slept.
    """

    def __init__(self, actions: F32, dt_ns: int) -> None:
        rows = actions.astype(np.float64)
        self._dt_ns = dt_ns
        self._rows: list[list[float]] = rows.tolist()
        self._steps: list[list[float]] = (rows[1:] - rows[:-1]).tolist()

    def at(self, elapsed_ns: int) -> F64:
        """The action f64[A] at ``elapsed_ns`` after row 0.

        Integer arithmetic finds the row, so an instant on the grid gives that row exactly. The last row is held for
        its own ``dt_ns``: nothing is extrapolated.
        """
        row, into = divmod(elapsed_ns, self._dt_ns)
        here = self._rows[row]
        if not into or row >= len(self._steps):
            return np.array(here)
        share = into / self._dt_ns
        return np.array([value + step * share for value, step in zip(here, self._steps[row], strict=True)])


def linear(actions: F32, elapsed_ns: int, dt_ns: int) -> F64:
    """One instant of the trajectory."""
    return Trajectory(actions, dt_ns).at(elapsed_ns)
