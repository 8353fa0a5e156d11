"""The pose is held while the fault lasts, and the plan followed again afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..evidence import Evidence
from ..run import Run
from .steps import PATIENCE_S, inject, late, rest, restore
from .trial import Trial

__all__ = ["Holds"]


@dataclass(frozen=True)
class Holds:
    """The pose is held, and the plan followed again once the fault is gone. ``cause`` must be given as the reason."""

    reach_s: float
    back_s: float
    brake_s: float
    cause: str = ""
    lasts_s: float = 0.3

    @property
    def ends(self) -> bool:
        return False

    def state(self) -> str:
        return f"holding; running again within {self.back_s:.2f} s"

    def within(self) -> float:
        return self.reach_s

    def drive(self, trial: Trial, run: Run) -> None:
        inject(trial, run)
        try:
            held_ns = run.wait_mode("holding", trial.injected_ns, self.reach_s + PATIENCE_S)
            if trial.row.restore is not None:
                time.sleep(self.lasts_s)
        finally:
            restore(trial, run)
        run.wait_mode("running", trial.restored_ns, self.back_s + PATIENCE_S, held_ns)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        held = evidence.first({"holding"}, trial.injected_ns)
        if held is None or not held.now_ns < trial.over_ns:
            yield "holding: never"
            return
        trial.measured.reached = (held.now_ns - trial.injected_ns) / 1e9
        yield from late("holding", trial.measured.reached, self.reach_s)
        again = evidence.first({"running"}, max(trial.restored_ns, held.now_ns))
        if again is None:
            yield "running again: never"
            return
        given = {f"{tick.cause} {tick.planner.failure}" for tick in evidence.ticks(trial.injected_ns, again.now_ns)}
        if not any(re.search(self.cause, reason) for reason in given):
            yield f"held because {held.cause!r}, expected {self.cause!r}"
        trial.measured.back = (again.now_ns - trial.restored_ns) / 1e9
        yield from late("running again", trial.measured.back, self.back_s)
        trial.measured.rest = rest(trial, evidence, again.now_ns)
        yield from late("at rest", trial.measured.rest, self.reach_s + self.brake_s)
