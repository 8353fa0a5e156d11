"""The machine: its clock and its cores."""

from __future__ import annotations

import os
import sys

from ..demands import Row, RunsOn
from ..run import Run
from ..setting import Setting, Times

__all__ = ["rows"]

_HOUR_S = 3600.0


def _busy(run: Run) -> None:
    for _ in range(os.cpu_count() or 1):
        run.beside(sys.executable, "-c", "while True: pass")


def rows(times: Times) -> list[Row]:
    shim = Setting(apart=False, shim=True)
    gap = times.dead_man
    return [
        Row("clock-forward", "machine", "the wall clock steps 1 h forward", lambda run: run.shim.set(wall_s=_HOUR_S),
            RunsOn(gap), shim, lambda run: run.shim.set()),
        Row("clock-back", "machine", "the wall clock steps 1 h back", lambda run: run.shim.set(wall_s=-_HOUR_S),
            RunsOn(gap), shim, lambda run: run.shim.set()),
        Row("cpu-hog", "machine", "a process that computes on every core, for 2 s", _busy,
            RunsOn(gap, 2.0, may_hold=True), Setting(apart=False), lambda run: run.end_beside()),
        Row("cpu-hog-realtime", "machine", "the same, with `realtime` in the config, as far as it is granted", _busy,
            RunsOn(gap, 2.0), Setting(apart=False, realtime=True), lambda run: run.end_beside()),
    ]  # fmt: skip
