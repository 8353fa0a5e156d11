"""What became of each row over all repeats."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .campaign import Outcome
from .demands import Row

__all__ = ["Result", "Spread", "results"]


@dataclass(frozen=True)
class Spread:
    """Seconds over several runs."""

    median: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """None where nothing was measured."""
        known = [value for value in values if value is not None]
        return cls(statistics.median(known), max(known)) if known else None

    def as_json(self) -> dict[str, float]:
        return {"median_s": round(self.median, 4), "worst_s": round(self.worst, 4)}


@dataclass(frozen=True)
class Result:
    """``lacking``: what this machine has not, so that the row was not run."""

    row: Row
    runs: int
    passes: int
    reached: Spread | None
    rest: Spread | None
    back: Spread | None
    problems: list[str]
    lacking: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        row = self.row
        spreads = {"reached": self.reached, "rest": self.rest, "back": self.back}
        return {
            "name": row.name, "area": row.area, "fault": row.fault, "must_reach": row.demand.state(),
            "within_s": round(row.demand.within(), 3), "runs": self.runs, "passes": self.passes,
            **{name: spread and spread.as_json() for name, spread in spreads.items()},
            "problems": self.problems, "lacking": self.lacking,
        }  # fmt: skip


def results(rows: Sequence[Row], outcomes: Sequence[Outcome], lacking: Mapping[str, str]) -> list[Result]:
    """One result for each row, in the rows' order."""
    found = []
    for row in rows:
        mine = [outcome for outcome in outcomes if outcome.name == row.name]
        problems = ["; ".join(outcome.problems) for outcome in mine if outcome.problems]
        found.append(
            Result(
                row, len(mine), len(mine) - len(problems), Spread.of([outcome.reached for outcome in mine]),
                Spread.of([outcome.rest for outcome in mine]), Spread.of([outcome.back for outcome in mine]), problems,
                lacking.get(row.name, ""),
            )
        )  # fmt: skip
    return found
