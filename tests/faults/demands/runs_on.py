"""The motion goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..evidence import Evidence
from ..run import NeverHappened, Run
from .steps import ended, inject, late, restore
from .trial import Trial

__all__ = ["RunsOn"]


@dataclass(frozen=True)
class RunsOn:
    """No effect on the motion for ``lasts_s``. ``gap_s``: the longest that the device may wait for a new command.

    ``finish``: the run is ended afterwards, since it has lost something that only the next run replaces.
    """

    gap_s: float
    lasts_s: float = 0.7
    finish: bool = False
    may_hold: bool = False
    where: str = "no effect on the motion"

    @property
    def ends(self) -> bool:
        return self.finish

    def state(self) -> str:
        return "running, or held for a moment" if self.may_hold else f"running, {self.where}"

    def within(self) -> float:
        return self.gap_s

    def drive(self, trial: Trial, run: Run) -> None:
        inject(trial, run)
        try:
            end = time.monotonic() + self.lasts_s
            while time.monotonic() < end:
                if run.over:
                    raise NeverHappened(f"the run ended: {run.last_words()}")
                time.sleep(0.02)
        finally:
            restore(trial, run)
            trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        allowed = {"running", "holding"} if self.may_hold or evidence.times.noisy else {"running"}
        other = [tick for tick in evidence.ticks(trial.injected_ns, trial.over_ns) if tick.mode not in allowed]
        if other:
            yield f"mode {other[0].mode}: {other[0].cause}"
        moved = evidence.truth.moved(trial.injected_ns, trial.over_ns)
        instants = np.concatenate([[trial.injected_ns], moved, [trial.over_ns]])
        trial.measured.reached = float(np.diff(instants).max()) / 1e9
        yield from late("the longest standstill ended", trial.measured.reached, self.gap_s)
        if self.finish:
            yield from ended(evidence, 130, "SIGINT")
