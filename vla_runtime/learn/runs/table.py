"""A CSV file with a row for a step, which a resumed run continues.

torchrl's CSVLogger writes a headless file for each figure and only ever appends: the steps between the last saved state
and a kill would stand in it twice.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from vla_runtime.learn.atomic import replacing

__all__ = ["Table"]

_Row = Sequence[object]


class Table:
    """Rows of ``step`` and figures by name, in ``path``. Those of steps beyond ``last_step`` are removed first.

    A figure that comes later gets a column of its own; where one is missing the cell is empty.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._path = path
        names, rows = _read(path)
        self._names = names
        self._file = self._rewritten([row for row in rows if int(row[0]) <= last_step])

    def append(self, step: int, figures: Mapping[str, float]) -> None:
        """One more row, handed to the operating system at once."""
        new = [name for name in figures if name not in self._names]
        if new:
            self._file.close()
            self._names += new
            self._file = self._rewritten(_read(self._path)[1])
        csv.writer(self._file, lineterminator="\n").writerow([step, *(figures.get(name, "") for name in self._names)])
        self._file.flush()

    def sync(self) -> None:
        """Return when all rows are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _rewritten(self, rows: Sequence[_Row]) -> TextIO:
        width = 1 + len(self._names)
        with replacing(self._path) as draft, draft.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *self._names])
            writer.writerows([*row, *[""] * (width - len(row))] for row in rows)
        return self._path.open("a", newline="")


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names and whole rows; a last line that a kill has cut is none."""
    if not path.exists():
        return [], []
    lines = path.read_text().splitlines(keepends=True)
    found = list(csv.reader(line for line in lines if line.endswith("\n")))
    return (found[0][1:], found[1:]) if found else ([], [])
