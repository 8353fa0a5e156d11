"""What a run must do about a fault. Each demand drives a live run through the fault and judges it afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import psutil

from .evidence import Evidence
from .run import NeverHappened, Run

__all__ = ["DeadMan", "Demand", "Ends", "Holds", "Measured", "Refuses", "Row", "RunsOn", "Trial"]

Act = Callable[[Run], None]
_PATIENCE_S = 20.0
_FINAL = {"stopped", "faulted"}


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
    setting: object
    restore: Act | None = None
    quick: bool = False
    fresh: bool = False
    also: Callable[[Trial, Evidence], str] = lambda trial, evidence: ""


def _inject(trial: Trial, run: Run) -> None:
    run.steady()
    trial.injected_ns = trial.restored_ns = time.monotonic_ns()
    trial.row.inject(run)


def _restore(trial: Trial, run: Run) -> None:
    if trial.row.restore is not None:
        with suppress(psutil.NoSuchProcess):
            trial.row.restore(run)
        trial.restored_ns = time.monotonic_ns()


def _rest(trial: Trial, evidence: Evidence, before_ns: int) -> float | None:
    moved = evidence.truth.moved(trial.injected_ns, before_ns)
    return float(moved[-1] - trial.injected_ns) / 1e9 if len(moved) else 0.0


def _late(what: str, seconds: float | None, bound: float) -> Iterator[str]:
    if seconds is None:
        yield f"{what}: never"
    elif not seconds <= bound:
        yield f"{what} after {seconds:.3f} s, allowed {bound:.3f} s"


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
        _inject(trial, run)
        try:
            held_ns = run.wait_mode("holding", trial.injected_ns, self.reach_s + _PATIENCE_S)
            if trial.row.restore is not None:
                time.sleep(self.lasts_s)
        finally:
            _restore(trial, run)
        run.wait_mode("running", trial.restored_ns, self.back_s + _PATIENCE_S, held_ns)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        held = evidence.first({"holding"}, trial.injected_ns)
        if held is None or not held.now_ns < trial.over_ns:
            yield "holding: never"
            return
        trial.measured.reached = (held.now_ns - trial.injected_ns) / 1e9
        yield from _late("holding", trial.measured.reached, self.reach_s)
        again = evidence.first({"running"}, max(trial.restored_ns, held.now_ns))
        if again is None:
            yield "running again: never"
            return
        given = {f"{tick.cause} {tick.planner.failure}" for tick in evidence.ticks(trial.injected_ns, again.now_ns)}
        if not any(re.search(self.cause, reason) for reason in given):
            yield f"held because {held.cause!r}, expected {self.cause!r}"
        trial.measured.back = (again.now_ns - trial.restored_ns) / 1e9
        yield from _late("running again", trial.measured.back, self.back_s)
        trial.measured.rest = _rest(trial, evidence, again.now_ns)
        yield from _late("at rest", trial.measured.rest, self.reach_s + self.brake_s)


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
        _inject(trial, run)
        try:
            run.wait_end(self.reach_s + self.ended_s + _PATIENCE_S)
        finally:
            trial.over_ns = time.monotonic_ns()
            _restore(trial, run)

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        yield from _ended(evidence, self.code, self.cause)
        final = evidence.first(_FINAL, trial.injected_ns)
        if final is None:
            yield f"{self.mode}: never"
            return
        trial.measured.reached = (final.now_ns - trial.injected_ns) / 1e9
        yield from _late(self.mode, trial.measured.reached, self.reach_s)
        if final.mode != self.mode:
            yield f"ended in mode {final.mode}, expected {self.mode}"
        trial.measured.rest = _rest(trial, evidence, 1 << 62)
        yield from _late("at rest", trial.measured.rest, self.reach_s + self.brake_s)
        if self.category is not None:
            stop = evidence.truth.stop_after(trial.injected_ns)
            if stop is None or stop[1] != self.category:
                yield f"the device was asked for stop {stop and stop[1]}, expected category {self.category}"
        exit_s = (trial.over_ns - trial.injected_ns) / 1e9
        yield from _late("the process ended", exit_s, self.reach_s + self.ended_s)


@dataclass(frozen=True)
class DeadMan:
    """The host stops the device by itself. ``code``: how the run ends, None where it was killed."""

    reach_s: float
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
        _inject(trial, run)
        end = time.monotonic() + self.reach_s + _PATIENCE_S
        while run.truth().stop_after(trial.injected_ns) is None and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(self.lasts_s)
        _restore(trial, run)
        if self.code is not None:
            run.wait_end(_PATIENCE_S)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        stop = evidence.truth.stop_after(trial.injected_ns)
        trial.measured.reached = None if stop is None else (stop[0] - trial.injected_ns) / 1e9
        yield from _late("stopped by the host", trial.measured.reached, self.reach_s)
        trial.measured.rest = _rest(trial, evidence, 1 << 62)
        yield from _late("at rest", trial.measured.rest, self.reach_s)
        if self.code is not None:
            yield from _ended(evidence, self.code, self.cause)


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
        _inject(trial, run)
        try:
            end = time.monotonic() + self.lasts_s
            while time.monotonic() < end:
                if run.over:
                    raise NeverHappened(f"the run ended: {run.last_words()}")
                time.sleep(0.02)
        finally:
            _restore(trial, run)
            trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        allowed = {"running", "holding"} if self.may_hold or evidence.times.noisy else {"running"}
        other = [tick for tick in evidence.ticks(trial.injected_ns, trial.over_ns) if tick.mode not in allowed]
        if other:
            yield f"mode {other[0].mode}: {other[0].cause}"
        moved = evidence.truth.moved(trial.injected_ns, trial.over_ns)
        instants = np.concatenate([[trial.injected_ns], moved, [trial.over_ns]])
        trial.measured.reached = float(np.diff(instants).max()) / 1e9
        yield from _late("the longest standstill ended", trial.measured.reached, self.gap_s)
        if self.finish:
            yield from _ended(evidence, 130, "SIGINT")


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
        run.wait_end(self.reach_s + _PATIENCE_S)
        trial.over_ns = time.monotonic_ns()

    def judge(self, trial: Trial, evidence: Evidence) -> Iterator[str]:
        yield from _ended(evidence, 2, self.cause)
        trial.measured.reached = (trial.over_ns - trial.injected_ns) / 1e9
        yield from _late("refused", trial.measured.reached, self.reach_s)
        moved = evidence.truth.moved(trial.injected_ns, 1 << 62)
        if len(moved):
            yield f"the device was moved {len(moved)} times"


def _ended(evidence: Evidence, code: int, cause: str) -> Iterator[str]:
    said = str(evidence.report.get("cause", ""))
    if evidence.exit_code != code:
        yield f"exit code {evidence.exit_code}, expected {code} ({said})"
    elif not re.search(cause, said):
        yield f"the report's cause is {said!r}, expected {cause!r}"
    if evidence.left_behind:
        yield f"left behind: {evidence.left_behind}"
