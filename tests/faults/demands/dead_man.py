"""The host stops the device, whatever the run does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..evidence import Evidence
from ..run import Run
from .steps import PATIENCE_S, ended, inject, late, rest, restore
from .trial import Trial

__all__ = ["DeadMan"]


@dataclass(frozen=True)
class DeadMan:
    """The host stops the device by itself. ``code``: how the run ends, None where it was killed."""

    reach_s: float
    brake_s: float
    code: int | None = None
    cause: str = ""
    lasts_s: float = 0.5

    @property
    def ends(self) -> bool:
        return True

    def state(self) -> str:
        ended = "" if self.code is None else f", then exit code {self.code}"
        return f"stopped by the host's dead man{ended}"

    def within(self) -> float:
        return self.reach_s

    def drive(self, trial: Trial, run: Run) -> None:
        inject(trial, run)
        end = time.monotonic() + self.reach_s + PATIENCE_S
        while run.truth().stop_after(trial.injected_ns) is None and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(self.lasts_s)
        restore(trial, run)
        if self.code is not None:
            run.wait_end(PATIENCE_S)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        stop = evidence.truth.stop_after(trial.injected_ns)
        trial.measured.reached = None if stop is None else (stop[0] - trial.injected_ns) / 1e9
        yield from late("stopped by the host", trial.measured.reached, self.reach_s)
        trial.measured.rest = rest(trial, evidence, 1 << 62)
        yield from late("at rest", trial.measured.rest, self.reach_s + self.brake_s)
        if self.code is not None:
            yield from ended(evidence, self.code, self.cause)
