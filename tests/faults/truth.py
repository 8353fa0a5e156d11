"""What the actuators saw, as ``plugins/witness_arm.py`` wrote it down, and the laws that it must keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Truth", "read_truth"]

COMMAND, NO_COMMAND, RESET = 3, 4, 5
_RECORD = np.dtype([("ns", "<i8"), ("kind", "<i4"), ("values", "<f8", (3,))])


@dataclass(frozen=True, eq=False)
class Truth:
    """``ns`` i64[N], ``kind`` i32[N] (a stop category, COMMAND, NO_COMMAND or RESET), ``values`` f64[N, 3]."""

    ns: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int32]
    values: npt.NDArray[np.float64]

    def stop_after(self, ns: int) -> tuple[int, int] | None:
        """When the device was first asked to stop after ``ns``, and with which category."""
        found = np.flatnonzero((self.ns > ns) & (self.kind <= 2))
        return (int(self.ns[found[0]]), int(self.kind[found[0]])) if len(found) else None

    def moved(self, after_ns: int, before_ns: int) -> npt.NDArray[np.int64]:
        """The instants i64[M] in between at which the device was given another command than before."""
        commands = self.kind == COMMAND
        ns, values = self.ns[commands], self.values[commands]
        changed = np.zeros(len(ns), dtype=bool)
        changed[1:] = (values[1:] != values[:-1]).any(axis=1)
        return ns[changed & (ns > after_ns) & (ns < before_ns)]

    def faults(self, low: float, high: float, velocity: float, slack_s: float) -> Iterator[tuple[int, str]]:
        """What no command may be, and when it was.

        Two commands may differ by no more than ``velocity`` times the time between them. ``slack_s`` is how much
        longer the first of them may have been under way than the second.
        """
        at = np.flatnonzero(self.kind == COMMAND)
        ns, values = self.ns[at], self.values[at]
        for i in np.flatnonzero(~np.isfinite(values).all(axis=1)):
            yield int(ns[i]), f"the device was given {values[i].tolist()}"
        for i in np.flatnonzero(~((values >= low) & (values <= high)).all(axis=1)):
            yield int(ns[i]), f"the device was given {values[i].tolist()}, limits [{low}, {high}]"
        changed = np.flatnonzero((values[1:] != values[:-1]).any(axis=1)) + 1
        seconds = np.diff(ns[np.concatenate([[0], changed])]) * 1e-9 if len(changed) else np.zeros(0)
        steps = np.abs(values[changed] - values[changed - 1]).max(axis=1) if len(changed) else np.zeros(0)
        for i in np.flatnonzero(~(steps <= velocity * (seconds + slack_s))):
            yield int(ns[changed[i]]), f"the command moved by {steps[i]:.3g} in {seconds[i]:.3g} s, limit {velocity}/s"


def read_truth(path: Path) -> Truth:
    """All whole records of the file at ``path``."""
    data = path.read_bytes() if path.exists() else b""
    records = np.frombuffer(data[: len(data) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
    return Truth(records["ns"], records["kind"], records["values"])
