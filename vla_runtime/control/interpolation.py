"""From the rows of a chunk to the instant of a tick."""

from __future__ import annotations

from vla_runtime.core.types import F32, F64

__all__ = ["linear"]


def linear(actions: F32, elapsed_ns: int, dt_ns: int) -> F64:
    """The action f64[A] at ``elapsed_ns`` after row 0 of ``actions`` f32[H, A], rows ``dt_ns`` apart.

    Integer arithmetic finds the row, so an instant on the grid gives that row exactly. The last row is held for its
    own ``dt_ns``: nothing is extrapolated.
    """
    row, into = divmod(elapsed_ns, dt_ns)
    here: F64 = actions[row].astype("f8")
    if not into or row + 1 >= len(actions):
        return here
    there: F64 = actions[row + 1].astype("f8")
    return here + (there - here) * (into / dt_ns)
