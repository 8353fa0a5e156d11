"""The campaign's table: one file for each area that can fail."""

from __future__ import annotations

from ..demands import Row
from ..setting import Times
from . import cameras, links, machine, planner, processes, recorder, start

__all__ = ["all_rows"]


def all_rows(times: Times) -> list[Row]:
    """Every row, in the order in which they are run: neighbours with equal settings share runs."""
    areas = (cameras, links, planner, processes, recorder, machine, start)
    rows = [row for area in areas for row in area.rows(times)]
    names = [row.name for row in rows]
    assert len(names) == len(set(names)), "two rows have one name"
    return rows
