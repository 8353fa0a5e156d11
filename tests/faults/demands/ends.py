"""The run ends by itself, in a stated way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..evidence import Evidence
from ..run import Run
from .steps import PATIENCE_S, ended, inject, late, rest, restore
from .trial import Trial

__all__ = ["Ends"]

_FINAL = {"stopped", "faulted"}


@dataclass(frozen=True)
class Ends:
    """The run ends in ``mode`` with ``code``, for ``cause``; the device is asked for a stop of ``category``."""

    mode: str
    code: int
    cause: str
    reach_s: float
    brake_s: float
    category: int | None
    ended_s: float = 10.0

    @property
    def ends(self) -> bool:
        return True

    def state(self) -> str:
        return f"{self.mode}, exit code {self.code}"

    def within(self) -> float:
        return self.reach_s

    def drive(self, trial: Trial, run: Run) -> None:
        inject(trial, run)
        try:
            run.wait_end(self.reach_s + self.ended_s + PATIENCE_S)
        finally:
            trial.over_ns = time.monotonic_ns()
            restore(trial, run)

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        yield from ended(evidence, self.code, self.cause)
        final = evidence.first(_FINAL, trial.injected_ns)
        if final is None:
            yield f"{self.mode}: never"
            return
        trial.measured.reached = (final.now_ns - trial.injected_ns) / 1e9
        yield from late(self.mode, trial.measured.reached, self.reach_s)
        if final.mode != self.mode:
            yield f"ended in mode {final.mode}, expected {self.mode}"
        trial.measured.rest = rest(trial, evidence, 1 << 62)
        yield from late("at rest", trial.measured.rest, self.reach_s + self.brake_s)
        if self.category is not None:
            stop = evidence.truth.stop_after(trial.injected_ns)
            if stop is None or stop[1] != self.category:
                yield f"the device was asked for stop {stop and stop[1]}, expected category {self.category}"
        exit_s = (trial.over_ns - trial.injected_ns) / 1e9
        yield from late("the process ended", exit_s, self.reach_s + self.ended_s)
