"""What the episodes of one cell come to together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from benchmarks.chunks.trials import Trial
from vla_runtime.app.evaluate.result import EpisodeResult
from vla_runtime.app.evaluate.summary import summary

__all__ = ["figures"]


def figures(kind: str, results: Sequence[bytes]) -> dict[str, Any]:
    """``results``: each episode's, as ``work`` gives it, in the order of the seeds."""
    if kind == "track":
        return _track([msgspec.json.decode(result, type=EpisodeResult) for result in results])
    trials = [msgspec.json.decode(result, type=Trial) for result in results]
    common = {
        "episodes": len(trials),
        "starved_ticks": sum(trial.starved_ticks for trial in trials),
        "chunks_refused": sum(trial.chunks_refused for trial in trials),
    }
    return (_react(trials) if kind == "react" else _clock(trials)) | common


def _track(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """As ``vla-eval`` says it; instead of the single episodes, who succeeded in the order of the seeds."""
    found = summary(results)
    del found["results"]
    return found | {"succeeded": "".join("01"[result.success] for result in results)}


def _react(trials: Sequence[Trial]) -> dict[str, Any]:
    """A step that the next one overtook took longer than any other."""
    reactions_s = [reaction for trial in trials for reaction in trial.reactions_s]
    ranked = np.array([np.inf if reaction is None else reaction for reaction in reactions_s])
    return {
        "trials": len(reactions_s),
        "median_s": _ranked(ranked, 0.5),
        "p95_s": _ranked(ranked, 0.95),
        "overtaken": sum(reaction is None for reaction in reactions_s),
        "unsettled": sum(trial.unsettled for trial in trials),
    }


def _clock(trials: Sequence[Trial]) -> dict[str, Any]:
    errors = np.array([error for trial in trials for error in trial.errors])
    return {
        "ticks": len(errors),
        "median_periods": _ranked(errors, 0.5),
        "p95_periods": _ranked(errors, 0.95),
        "max_periods": _ranked(errors, 1.0),
    }


def _ranked(values: np.ndarray, share: float) -> float | None:
    """The quantile that is one of ``values``; None without any, or where it has no bound."""
    if not len(values):
        return None
    found = float(np.quantile(values, share, method="higher"))
    return found if np.isfinite(found) else None
