"""What a run says of itself at its end: for scripts as one JSON object, for people as a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vla_runtime.control.cause import Cause
from vla_runtime.control.histogram import Histogram
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
    unsent_commands: int = 0
    log_dropped: int = 0
    log_error: str = ""
    logs: list[str] = field(default_factory=list)
    start_to_first_command_ms: float | None = None
    host: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The documented keys (docs/json.md)."""
        metrics = self.metrics
        return {
            "exit": self.cause.kind,
            "cause": self.cause.text,
            "ticks": metrics.ticks,
            "overruns": metrics.overruns,
            "lateness_us": _quantiles(metrics.late, 1e3, ("p50", "p99", "p999", "max")),
            "tick_us": _quantiles(metrics.compute, 1e3, ("p50", "p99", "p999", "max")),
            "capture_to_chunk_ms": _quantiles(metrics.capture_to_chunk, 1e6, ("p50", "p99")),
            "chunks": {"used": metrics.chunks_used, "refused": metrics.chunks_refused.total()},
            "refusals": dict(metrics.chunks_refused),
            "starved_ticks": metrics.starved_ticks,
            "interventions": metrics.interventions_by_rule(),
            "mode_ns": dict(metrics.mode_ns),
            "planner_restarts": self.planner_restarts,
            "episodes": self.episodes,
            "successes": self.successes,
            "malformed": self.malformed,
            "unsent_commands": self.unsent_commands,
            "log_dropped": self.log_dropped,
            "log_error": self.log_error,
            "start_to_first_command_ms": self.start_to_first_command_ms,
            "host": self.host,
            "log": self.logs[-1] if self.logs else None,
            "logs": self.logs,
        }

    def as_text(self) -> str:
        """The same for people."""
        report = self.as_json()
        late, compute, chunk = report["lateness_us"], report["tick_us"], report["capture_to_chunk_ms"]
        share = metrics_share(self.metrics.mode_ns)
        rows = [
            ("ended", f"{self.cause.kind}: {self.cause.text}"),
            ("episodes", f"{self.episodes}, {self.successes} successful"),
            ("ticks", f"{self.metrics.ticks}, {self.metrics.overruns} overruns, {self.metrics.starved_ticks} starved"),
            ("lateness", f"p50 {_us(late['p50'])}, p99 {_us(late['p99'])}, p99.9 {_us(late['p999'])}"),
            ("tick", f"p50 {_us(compute['p50'])}, p99 {_us(compute['p99'])}, p99.9 {_us(compute['p999'])}"),
            ("capture→chunk", f"p50 {_ms(chunk['p50'])}, p99 {_ms(chunk['p99'])}"),
            ("chunks", f"{self.metrics.chunks_used} used, {_counts(self.metrics.chunks_refused)} refused"),
            ("interventions", _joints(self.metrics)),
            ("modes", share),
            ("planner", f"{self.planner_restarts} restarts"),
        ]
        dropped = {name: count for name, count in self.malformed.items() if count}
        if dropped:
            rows.append(("malformed", _counts(dropped)))
        if self.log_dropped or self.log_error:
            rows.append(("log trouble", f"{self.log_dropped} records dropped {self.log_error}".rstrip()))
        if self.logs:
            rows.append(("log", self.logs[-1] + (f" and {len(self.logs) - 1} more" if len(self.logs) > 1 else "")))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def metrics_share(mode_ns: dict[str, int]) -> str:
    """Time spent in each mode, in words."""
    return ", ".join(f"{mode} {ns / 1e9:.2f} s" for mode, ns in mode_ns.items() if ns) or "none"


def _quantiles(histogram: Histogram, unit: float, names: tuple[str, ...]) -> dict[str, float | None]:
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    values = {name: histogram.quantile(at[name]) if name in at else histogram.largest for name in names}
    return {
        name: None if value is None or not histogram.count else round(value / unit, 3) for name, value in values.items()
    }


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} µs"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    return f"{total} ({', '.join(f'{name} {count}' for name, count in counts.items())})" if total else "0"


def _joints(metrics: LoopMetrics) -> str:
    if not metrics.interventions:
        return "none"
    return ", ".join(f"{who.rule} {who.joint} {count}" for who, count in sorted(
        metrics.interventions.items(), key=lambda item: -item[1]))  # fmt: skip
