"""Runs rows, one after the other since their timing counts, and judges them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from .demands import Row, Trial
from .evidence import gather
from .run import NeverHappened, Run
from .setting import Setting, Times
from .shim import compiler

__all__ = ["Outcome", "missing", "run_once"]


@dataclass(frozen=True)
class Outcome:
    """One row in one run. Times in seconds, as ``demands.Measured`` defines them; ``problems`` empty: passed."""

    name: str
    problems: tuple[str, ...]
    reached: float | None = None
    rest: float | None = None
    back: float | None = None


def missing(row: Row) -> str:
    """What this machine lacks for ``row``, "" for nothing."""
    assert isinstance(row.setting, Setting)
    if row.setting.shim and compiler() is None:
        return "a C compiler"
    if row.setting.disk == "small" and not _may_mount():
        return "the right to mount a file system"
    return ""


def run_once(
    rows: Sequence[Row],
    times: Times,
    tell: Callable[[Outcome], None],
    over: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Every row once, until ``over()``. Neighbours share a run while their settings agree and the run goes on."""
    outcomes: list[Outcome] = []
    waiting = list(rows)
    while waiting and not over():
        done = list(_judged(_one_run(waiting, times), tell))
        outcomes += done
        waiting = waiting[len(done) :]
    return outcomes


def _one_run(rows: Sequence[Row], times: Times) -> tuple[Run, list[Trial]]:
    """As many of ``rows`` as one run can bear, at least one."""
    setting = rows[0].setting
    assert isinstance(setting, Setting)
    trials: list[Trial] = []
    run = Run(setting, times)
    try:
        with run:
            for row in rows:
                if trials and (row.setting != setting or row.fresh or run.over):
                    break
                trial = Trial(row)
                trials.append(trial)
                try:
                    row.demand.drive(trial, run)
                except (NeverHappened, psutil.Error, OSError, subprocess.SubprocessError) as error:
                    trial.problems.append(f"{error}")
                    break
                if row.demand.ends:
                    break
            run.finish()
            _judge(run, trials)
    except (OSError, subprocess.SubprocessError) as error:
        trials = trials or [Trial(rows[0])]
        trials[-1].problems.append(f"the run failed: {error}")
    return run, trials


def _judge(run: Run, trials: list[Trial]) -> None:
    evidence = gather(run)
    for trial in trials:
        trial.over_ns = trial.over_ns or 1 << 62
        if trial.injected_ns:
            trial.problems += trial.row.demand.judge(trial, evidence)
            if not trial.problems and (lacking := trial.row.also(trial, evidence)):
                trial.problems.append(lacking)
    for ns, crime in evidence.crimes():
        guilty = next((trial for trial in trials if ns <= trial.over_ns), trials[-1])
        guilty.problems.append(crime)


def _judged(found: tuple[Run, list[Trial]], tell: Callable[[Outcome], None]) -> Iterator[Outcome]:
    for trial in found[1]:
        measured = trial.measured
        # Two are enough to see what is wrong.
        outcome = Outcome(trial.row.name, tuple(trial.problems[:2]), measured.reached, measured.rest, measured.back)
        tell(outcome)
        yield outcome


def _may_mount() -> bool:
    """Whether this process is root with the right to mount (CAP_SYS_ADMIN is bit 21)."""
    if os.geteuid() != 0:
        return False
    lines = open("/proc/self/status").read().splitlines()  # noqa: SIM115
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> 21 & 1)
