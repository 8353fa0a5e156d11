"""What a run says of itself at its end: for scripts as one JSON object, for people as a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vla_runtime.app.quantiles import quantiles
from vla_runtime.app.realtime.enter import Granted
from vla_runtime.control.cause import Cause
from vla_runtime.control.metrics import LoopMetrics

__all__ = ["RunReport"]


@dataclass
class RunReport:
    """Counts over all episodes of one ``vla-run``."""

    cause: Cause
    metrics: LoopMetrics = field(default_factory=LoopMetrics)
    episodes: int = 0
    successes: int = 0
    planner_restarts: int = 0
    malformed: dict[str, int] = field(default_factory=dict)
    cameras: dict[str, dict[str, int]] = field(default_factory=dict)
    clocks: dict[str, dict[str, float]] = field(default_factory=dict)
    unsent_commands: int = 0
    log_dropped: int = 0
    log_error: str = ""
    logs: list[str] = field(default_factory=list)
    start_to_first_command_ms: float | None = None
    host: dict[str, Any] | None = None
    realtime: Granted = field(default_factory=Granted)
    gc_collections: int = 0

    def as_json(self) -> dict[str, Any]:
        """The documented keys (docs/json.md)."""
        metrics, durations = self.metrics, self.metrics.durations
        return {
            "exit": self.cause.kind,
            "cause": self.cause.text,
            "ticks": metrics.ticks,
            "overruns": metrics.overruns,
            "lateness_us": quantiles(durations.lateness, 1e3),
            "tick_us": quantiles(durations.tick, 1e3),
            "capture_to_chunk_ms": quantiles(durations.capture_to_chunk, 1e6),
            "chunk_to_use_ms": quantiles(durations.chunk_to_use, 1e6),
            "command_age_ms": quantiles(durations.command_age, 1e6),
            "state_age_ms": quantiles(durations.state_age, 1e6),
            "plan_age_ms": quantiles(durations.plan_age, 1e6),
            "chunks": {"used": metrics.chunks_used, "refused": metrics.chunks_refused.total()},
            "refusals": dict(metrics.chunks_refused),
            "starved_ticks": metrics.starved_ticks,
            "interventions": metrics.interventions_by_joint(),
            "mode_ns": dict(metrics.mode_ns),
            "planner_restarts": self.planner_restarts,
            "episodes": self.episodes,
            "successes": self.successes,
            "malformed": self.malformed,
            "cameras": self.cameras,
            "clocks": self.clocks,
            "unsent_commands": self.unsent_commands,
            "log_dropped": self.log_dropped,
            "log_error": self.log_error,
            "start_to_first_command_ms": self.start_to_first_command_ms,
            "realtime": self.realtime.as_json(),
            "gc_collections": self.gc_collections,
            "host": self.host,
            "log": self.logs[-1] if self.logs else None,
            "logs": self.logs,
        }

    def as_text(self) -> str:
        """The same for people."""
        report = self.as_json()
        share = metrics_share(self.metrics.mode_ns)
        rows = [
            ("ended", f"{self.cause.kind}: {self.cause.text}"),
            ("episodes", f"{self.episodes}, {self.successes} successful"),
            ("ticks", f"{self.metrics.ticks}, {self.metrics.overruns} overruns, {self.metrics.starved_ticks} starved"),
            ("lateness", _spread(report["lateness_us"], "µs")),
            ("tick", _spread(report["tick_us"], "µs")),
            ("capture→chunk", _spread(report["capture_to_chunk_ms"], "ms")),
            ("chunk→use", _spread(report["chunk_to_use_ms"], "ms")),
            ("command age", _spread(report["command_age_ms"], "ms")),
            ("state age", _spread(report["state_age_ms"], "ms")),
            ("plan age", _spread(report["plan_age_ms"], "ms")),
            ("chunks", f"{self.metrics.chunks_used} used, {_counts(self.metrics.chunks_refused)} refused"),
            ("interventions", _joints(self.metrics)),
            ("modes", share),
            ("planner", f"{self.planner_restarts} restarts"),
        ]
        dropped = {name: count for name, count in self.malformed.items() if count}
        if dropped:
            rows.append(("malformed", _counts(dropped)))
        if self.cameras:
            rows.append(("cameras", "; ".join(f"{name} {_counts(found)}" for name, found in self.cameras.items())))
        if self.realtime.asked:
            rows.append(("real-time", self.realtime.as_text()))
        if self.clocks:
            rows.append(("clocks", ", ".join(
                f"{name} {found['offset_ms']:+.3f} ± {found['error_ms']:.3f} ms" for name, found in self.clocks.items()
            )))  # fmt: skip
        if self.log_dropped or self.log_error:
            rows.append(("log trouble", f"{self.log_dropped} records dropped {self.log_error}".rstrip()))
        if self.logs:
            rows.append(("log", self.logs[-1] + (f" and {len(self.logs) - 1} more" if len(self.logs) > 1 else "")))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def metrics_share(mode_ns: dict[str, int]) -> str:
    """Time spent in each mode, in words."""
    return ", ".join(f"{mode} {ns / 1e9:.2f} s" for mode, ns in mode_ns.items() if ns) or "none"


def _spread(found: dict[str, float | None], unit: str) -> str:
    shown = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
    digits = 0 if unit == "µs" else 1
    values = {shown[name]: value for name, value in found.items() if value is not None}
    return ", ".join(f"{name} {value:.{digits}f} {unit}" for name, value in values.items()) or "-"


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return f"{total} ({', '.join(f'{name} {count}' for name, count in counts.items())})" if total else "0"


def _joints(metrics: LoopMetrics) -> str:
    if not metrics.interventions:
        return "none"
    return ", ".join(f"{who.rule} {who.joint} {count}" for who, count in sorted(
        metrics.interventions.items(), key=lambda item: -item[1]))  # fmt: skip
