"""Starts that must be refused."""

from __future__ import annotations

from ..demands import Refuses, Row
from ..run import Run
from ..setting import Setting, Times

__all__ = ["rows"]


def _nothing(run: Run) -> None:
    """The setting is the fault."""


def rows(times: Times) -> list[Row]:
    soon = 2 * times.planner_start
    return [
        Row("start-outside-limits", "start", "a joint stands outside its limits", _nothing,
            Refuses("outside its limits", soon), Setting(apart=False, displaced=0.7), quick=True),
        Row("start-far", "start", "the policy's first action is far from the measured pose", _nothing,
            Refuses("farther than align_tolerance", soon), Setting(apart=False, start=(0.05, 0.0, 0.2)), quick=True),
    ]  # fmt: skip
