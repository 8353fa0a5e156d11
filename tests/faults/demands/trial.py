"""A row of the table, what it demands, and one trial of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..evidence import Evidence
from ..run import Run
from ..setting import Setting

__all__ = ["Act", "Demand", "Measured", "Row", "Trial"]

Act = Callable[[Run], None]


@dataclass
class Measured:
    """Seconds. ``reached``: from the fault to the state demanded (to the longest standstill, where no effect is).

    ``rest``: from the fault to the last command that moved the device. ``back``: from the end of the fault to the
    plan being followed again.
    """

    reached: float | None = None
    rest: float | None = None
    back: float | None = None


@dataclass
class Trial:
    """When one row's fault came and went in one run (CLOCK_MONOTONIC), and what was wrong with it."""

    row: Row
    injected_ns: int = 0
    restored_ns: int = 0
    over_ns: int = 0
    problems: list[str] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)


class Demand(Protocol):
    """What must happen."""

    @property
    def ends(self) -> bool:
        """The run is of no use afterwards."""
        ...

    def state(self) -> str:
        """The state to be reached, for people."""
        ...

    def within(self) -> float:
        """How soon, in seconds."""
        ...

    def drive(self, trial: Trial, run: Run) -> None:
        """Inject the fault, wait for what should happen, take the fault back."""
        ...

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        """Fill in ``trial.measured``; what is not as demanded."""
        ...


@dataclass(frozen=True)
class Row:
    """One fault. ``restore`` takes it back; without it the fault passes, or the run repairs it, by itself.

    ``quick``: among those that the tests run. ``also`` says what is missing from the evidence, "" for nothing.
    """

    name: str
    area: str
    fault: str
    inject: Act
    demand: Demand
    setting: Setting
    restore: Act | None = None
    quick: bool = False
    fresh: bool = False
    also: Callable[[Trial, Evidence], str] = lambda trial, evidence: ""
