"""The run does not begin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..evidence import Evidence
from ..run import Run
from .steps import PATIENCE_S, ended, late
from .trial import Trial

__all__ = ["Refuses"]


@dataclass(frozen=True)
class Refuses:
    """The run refuses to begin, and moves nothing."""

    cause: str
    reach_s: float

    @property
    def ends(self) -> bool:
        return True

    def state(self) -> str:
        return "refused, exit code 2, nothing moved"

    def within(self) -> float:
        return self.reach_s

    def drive(self, trial: Trial, run: Run) -> None:
        trial.injected_ns = run.started_ns
        run.wait_end(self.reach_s + PATIENCE_S)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        yield from ended(evidence, 2, self.cause)
        trial.measured.reached = (trial.over_ns - trial.injected_ns) / 1e9
        yield from late("refused", trial.measured.reached, self.reach_s)
        moved = evidence.truth.moved(trial.injected_ns, 1 << 62)
        if len(moved):
            yield f"the device was moved {len(moved)} times"
