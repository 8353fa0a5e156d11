"""What an evaluation found: one JSON object for scripts, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vla_runtime.app.evaluate.result import EpisodeResult
from vla_runtime.app.evaluate.summary import summary

__all__ = ["EvaluationReport"]


@dataclass(frozen=True)
class EvaluationReport:
    """The results of all episodes, in any order. ``policy`` is the policy's name, ``wall_s`` what it all took."""

    robot: str
    task: str
    policy: str
    policy_hash: str
    ablate: str | None
    replan_interval: int | None
    latency_pattern: str
    seed: int
    workers: int
    wall_s: float
    results: Sequence[EpisodeResult]

    def as_json(self) -> dict[str, Any]:
        """The documented keys (docs/json.md)."""
        latencies = list(dict.fromkeys(result.latency_ms for result in self.results))
        return {
            "robot": self.robot,
            "task": self.task,
            "policy": self.policy,
            "policy_hash": self.policy_hash,
            "ablate": self.ablate,
            "replan_interval": self.replan_interval,
            "latency_pattern": self.latency_pattern,
            "seed": self.seed,
            "workers": self.workers,
            "wall_s": self.wall_s,
            "latencies": [
                summary([result for result in self.results if result.latency_ms == latency])
                for latency in sorted(latencies)
            ],
        }

    def as_text(self) -> str:
        """A row for each latency, then the instructions, the unsuccessful ends and what was refused."""
        report = self.as_json()
        ablated = f", without its {self.ablate}" if self.ablate else ""
        lines = [f"{self.policy} on {self.robot}, task {self.task}{ablated}"]
        lines += _table([_HEADER, *(_row(found) for found in report["latencies"])])
        if len(report["latencies"][0]["instructions"]) > 1:
            lines += ["", *_instructions(report["latencies"])]
        for result in self.results:
            if result.end in ("refused", "fault"):
                lines += ["", f"seed {result.seed}, {result.instruction!r}: {result.end}, {result.cause}"]
                break
        return "\n".join(lines)


_HEADER = (
    "latency", "success", "95 %", "time p50", "p90", "jerk", "at hand-overs", "accel p95", "hand-over p50", "p95",
    "max", "starved", "limited", "other ends",
)  # fmt: skip


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    """Motion is that of the first unit, rad for an arm."""
    unit = next(iter(found["handover"]))
    seam, seconds = found["handover"][unit], found["time_to_success_s"]
    per = "" if unit == "none" else f" {unit}"
    ends = ", ".join(f"{count} {end}" for end, count in found["ends"].items() if count and end != "success")
    limited = ", ".join(f"{rule} {count}" for rule, count in found["interventions"].items())
    return (
        f"{found['latency_ms']:g} ms",
        f"{found['successes']}/{found['episodes']}",
        f"{found['success_low']:.2f}-{found['success_high']:.2f}",
        _number(seconds["p50"], " s"),
        _number(seconds["p90"], " s"),
        _number(found["jerk"][unit], f"{per}/s³"),
        _number(found["boundary_jerk"][unit], f"{per}/s³"),
        _number(found["acceleration"][unit], f"{per}/s²"),
        *(_number(seam[name], per) for name in ("p50", "p95", "max")),
        str(found["starved_ticks"]),
        limited or "-",
        ends or "-",
    )


def _instructions(latencies: Sequence[dict[str, Any]]) -> list[str]:
    rows = [("instruction", *(f"{found['latency_ms']:g} ms" for found in latencies))]
    for text in latencies[0]["instructions"]:
        counts = [found["instructions"][text] for found in latencies]
        rows.append((text, *(f"{count['successes']}/{count['episodes']}" for count in counts)))
    return _table(rows)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g}{unit}"
