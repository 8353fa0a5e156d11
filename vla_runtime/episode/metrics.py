"""The payload of ``/metrics``: what was counted in the last second and in the whole run, as JSON.

docs/metrics.md says what each number is.
"""

from __future__ import annotations

import msgspec

from vla_runtime.control.histogram import Histogram
from vla_runtime.control.metrics import LoopMetrics

__all__ = ["Counted", "MetricsPayload", "Spread", "counted", "decode_metrics", "encode_metrics"]


class Spread(msgspec.Struct, frozen=True):
    """``count`` durations in ns: quantiles within 1 % and the exact largest, None while there is none."""

    count: int
    p50: int | None
    p99: int | None
    p999: int | None
    max: int | None


class Counted(msgspec.Struct, frozen=True):
    """What was counted in some time. ``interventions``: by rule, then by joint."""

    ticks: int
    overruns: int
    starved_ticks: int
    chunks_used: int
    chunks_refused: dict[str, int]
    interventions: dict[str, dict[str, int]]
    mode_ns: dict[str, int]
    lateness_ns: Spread
    tick_ns: Spread
    capture_to_chunk_ns: Spread
    chunk_to_use_ns: Spread
    command_age_ns: Spread
    state_age_ns: Spread
    plan_age_ns: Spread


class MetricsPayload(msgspec.Struct, frozen=True):
    """``/metrics``, as of pass ``tick``: since the last such record (``second``) and in all episodes (``run``)."""

    tick: int
    now_ns: int
    episode: int
    mode: str
    planner_restarts: int
    log_dropped: int
    second: Counted
    run: Counted


def counted(metrics: LoopMetrics) -> Counted:
    """``metrics`` as they are now."""
    durations = {f"{name}_ns": _spread(histogram) for name, histogram in metrics.durations.named()}
    return Counted(
        ticks=metrics.ticks,
        overruns=metrics.overruns,
        starved_ticks=metrics.starved_ticks,
        chunks_used=metrics.chunks_used,
        chunks_refused=dict(metrics.chunks_refused),
        interventions=metrics.interventions_by_joint(),
        mode_ns=dict(metrics.mode_ns),
        **durations,
    )


def _spread(histogram: Histogram) -> Spread:
    count = histogram.count
    return Spread(count, *histogram.quantiles((0.5, 0.99, 0.999)), histogram.largest if count else None)


encode_metrics = msgspec.json.Encoder().encode
decode_metrics = msgspec.json.Decoder(MetricsPayload).decode
