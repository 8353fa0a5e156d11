"""One evaluated episode, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from vla_runtime.app.evaluate.trace import Trace
from vla_runtime.app.simulate import Outcome, Scenario
from vla_runtime.core.spec import Unit
from vla_runtime.core.types import F64

__all__ = ["BOUNDARY_TICKS", "End", "EpisodeResult", "boundary_jerk", "motion", "result_of"]

BOUNDARY_TICKS = 4
"""A hand-over shows in the jerk of this many ticks, the first of which follows the new chunk."""

End = Literal["success", "failure", "timeout", "refused", "fault"]


class EpisodeResult(msgspec.Struct, frozen=True):
    """What one episode came to. docs/evaluation.md defines every number; mappings by unit have no unknown values."""

    latency_ms: float
    seed: int
    instruction: str
    told: str
    success: bool
    end: End
    cause: str
    seconds: float
    success_s: float | None
    ticks: int
    starved_ticks: int
    chunks_used: int
    refusals: dict[str, int]
    interventions: dict[str, int]
    jerk: dict[str, float | None]
    boundary_jerk: dict[str, float | None]
    acceleration: dict[str, float | None]
    handovers: dict[str, list[float]]
    log: str | None


def result_of(
    scenario: Scenario, outcome: Outcome, trace: Trace, units: Sequence[Unit], period_s: float, log: str | None
) -> EpisodeResult:
    """The numbers of an episode that ``trace`` has watched."""
    metrics = outcome.metrics
    columns = _columns(units)
    commands = np.array(trace.commands).reshape(-1, len(units))
    measured = {unit: motion(commands[:, where], period_s) for unit, where in columns.items()}
    return EpisodeResult(
        latency_ms=scenario.latency.mean_ns / 1e6,
        seed=scenario.seed,
        instruction=scenario.instruction,
        told=scenario.told or scenario.instruction,
        success=outcome.success,
        end=_end(outcome),
        cause=outcome.cause.text,
        seconds=(outcome.end_ns - outcome.start_ns) / 1e9,
        success_s=None if trace.success_ns is None else max(0, trace.success_ns - outcome.start_ns) / 1e9,
        ticks=metrics.ticks,
        starved_ticks=metrics.starved_ticks,
        chunks_used=metrics.chunks_used,
        refusals=dict(metrics.chunks_refused),
        interventions=metrics.interventions_by_rule(),
        jerk={unit: jerk for unit, (jerk, _) in measured.items()},
        boundary_jerk={
            unit: boundary_jerk(commands[:, where], trace.takeovers, period_s) for unit, where in columns.items()
        },
        acceleration={unit: acceleration for unit, (_, acceleration) in measured.items()},
        handovers={unit: [float(jump[where].max()) for jump in trace.handovers] for unit, where in columns.items()},
        log=log,
    )


def motion(commands: F64, period_s: float) -> tuple[float | None, float | None]:
    """(path jerk, acceleration) of ``commands`` f64[T, D], ``period_s`` apart; None where T is too small.

    The root mean square of the third finite difference, and the 95th percentile of the second's absolute value, over
    ticks and joints.
    """
    jerk = np.diff(commands, 3, axis=0) / period_s**3
    acceleration = np.abs(np.diff(commands, 2, axis=0)) / period_s**2
    return (
        float(np.sqrt(np.mean(jerk**2))) if jerk.size else None,
        float(np.quantile(acceleration, 0.95)) if acceleration.size else None,
    )


def boundary_jerk(commands: F64, takeovers: Sequence[int], period_s: float) -> float | None:
    """The path jerk of the ticks at hand-overs: each of ``takeovers``, indices of ``commands``, and those after it.

    A tick after two takeovers counts once. None where no such tick has three before it.
    """
    at = sorted({index + later - 3 for index in takeovers for later in range(BOUNDARY_TICKS)})
    jerk = np.diff(commands, 3, axis=0) / period_s**3
    jerk = jerk[[row for row in at if 0 <= row < len(jerk)]]
    return float(np.sqrt(np.mean(jerk**2))) if jerk.size else None


def _columns(units: Sequence[Unit]) -> Mapping[str, list[int]]:
    """The joints of each unit, in the order in which the units first come."""
    return {unit: [i for i, other in enumerate(units) if other == unit] for unit in dict.fromkeys(units)}


def _end(outcome: Outcome) -> End:
    if outcome.success:
        return "success"
    if outcome.cause.kind in ("refused", "fault"):
        return outcome.cause.kind
    return "timeout" if outcome.timed_out else "failure"
