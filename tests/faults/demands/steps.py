"""What the demands have in common."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

from ..evidence import Evidence
from ..run import Run
from .trial import Trial

__all__ = ["PATIENCE_S", "ended", "inject", "late", "rest", "restore"]

PATIENCE_S = 20.0
"""How much longer than allowed a state is waited for, to know how late it is."""


def inject(trial: Trial, run: Run) -> None:
    """Inject the fault into a run that moves."""
    run.steady()
    trial.injected_ns = trial.restored_ns = time.monotonic_ns()
    trial.row.inject(run)


def restore(trial: Trial, run: Run) -> None:
    """Take the fault back, if that is for us to do."""
    if trial.row.restore is not None:
        with suppress(psutil.NoSuchProcess):
            trial.row.restore(run)
        trial.restored_ns = time.monotonic_ns()


def rest(trial: Trial, evidence: Evidence, before_ns: int) -> float:
    """Seconds from the fault to the last command that moved the device before ``before_ns``."""
    moved = evidence.truth.moved(trial.injected_ns, before_ns)
    return float(moved[-1] - trial.injected_ns) / 1e9 if len(moved) else 0.0


def late(what: str, seconds: float | None, bound: float) -> Iterator[str]:
    """What came later than ``bound``, or never."""
    if seconds is None:
        yield f"{what}: never"
    elif not seconds <= bound:
        yield f"{what} after {seconds:.3f} s, allowed {bound:.3f} s"


def ended(evidence: Evidence, code: int, cause: str) -> Iterator[str]:
    """What is wrong with the end of the run."""
    said = str(evidence.report.get("cause", ""))
    if evidence.exit_code != code:
        yield f"exit code {evidence.exit_code}, expected {code} ({said})"
    elif not re.search(cause, said):
        yield f"the report's cause is {said!r}, expected {cause!r}"
    if evidence.left_behind:
        yield f"left behind: {evidence.left_behind}"
