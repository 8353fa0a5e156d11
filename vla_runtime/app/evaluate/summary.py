"""What the episodes of one latency come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np

from vla_runtime.app.evaluate.result import End, EpisodeResult
from vla_runtime.app.evaluate.wilson import wilson

__all__ = ["rate", "summary"]


def summary(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """The documented keys of one latency (docs/json.md), its episodes in the order of their seeds."""
    results = sorted(results, key=lambda result: result.seed)
    instructions = sorted({result.instruction for result in results})
    units = list(results[0].handovers)
    jumps = {unit: [jump for result in results for jump in result.handovers[unit]] for unit in units}
    return {
        "latency_ms": results[0].latency_ms,
        **rate(results),
        "instructions": {
            text: rate([result for result in results if result.instruction == text]) for text in instructions
        },
        "ends": {end: sum(result.end == end for result in results) for end in get_args(End)},
        "time_to_success_s": _quantiles([r.success_s for r in results if r.success_s is not None], p50=0.5, p90=0.9),
        "jerk": {unit: _median(result.jerk[unit] for result in results) for unit in units},
        "boundary_jerk": {unit: _median(result.boundary_jerk[unit] for result in results) for unit in units},
        "acceleration": {unit: _median(result.acceleration[unit] for result in results) for unit in units},
        "handovers": len(jumps[units[0]]),
        "handover": {
            unit: {"mean": _mean(jumps[unit])} | _quantiles(jumps[unit], p50=0.5, p95=0.95, max=1.0) for unit in units
        },
        "seconds": sum(result.seconds for result in results),
        "ticks": sum(result.ticks for result in results),
        "starved_ticks": sum(result.starved_ticks for result in results),
        "interventions": dict(_total(result.interventions for result in results)),
        "chunks_used": sum(result.chunks_used for result in results),
        "refusals": dict(_total(result.refusals for result in results)),
        "results": [_as_json(result) for result in results],
    }


def rate(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """How many succeeded, which share that is, and its Wilson 95 % interval."""
    successes = sum(result.success for result in results)
    low, high = wilson(successes, len(results))
    return {
        "episodes": len(results),
        "successes": successes,
        "success": successes / len(results) if results else None,
        "success_low": low,
        "success_high": high,
    }


def _as_json(result: EpisodeResult) -> dict[str, Any]:
    """One episode without its single hand-overs, of which there are many."""
    fields = {name: getattr(result, name) for name in result.__struct_fields__ if name != "handovers"}
    return fields | {"handover_max": {unit: max(jumps, default=None) for unit, jumps in result.handovers.items()}}


def _quantiles(values: Sequence[float], **at: float) -> dict[str, float | None]:
    return {name: float(np.quantile(values, q)) if values else None for name, q in at.items()}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total
