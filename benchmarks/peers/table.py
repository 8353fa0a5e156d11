"""The figures as docs/peers.md shows them: ``python -m benchmarks.peers.table build/bench/peers.json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.scenarios import SCENARIOS

__all__ = ["behind", "tables"]

Figures = Mapping[str, Any]

ROWS: dict[str, Callable[[Figures], float]] = {
    "behind an ideal clock after {seconds:g} s, ms": lambda found: found["behind_ms"],
    "of that its clock's drift, ms": lambda found: found["drift_ms"],
    "off the period, p50, ms": lambda found: found["off_period_ms"]["p50"],
    "off the period, p99, ms": lambda found: found["off_period_ms"]["p99"],
    "off the period, p99.9, ms": lambda found: found["off_period_ms"]["p99_9"],
    "stall at a chunk, p50, ms": lambda found: found["stall_ms"]["p50"],
    "stall at a chunk, max, ms": lambda found: found["stall_ms"]["max"],
    "seam, p50, mrad": lambda found: found["seam_mrad"]["p50"],
    "seam, max, mrad": lambda found: found["seam_mrad"]["max"],
    "disagreement taken in one tick, p50, %": lambda found: 100 * found["opinion_share"]["p50"],
    "disagreement taken in one tick, max, %": lambda found: 100 * found["opinion_share"]["max"],
    "lag behind the true motion, ms": lambda found: found["lag_ms"],
    "error left after the lag, mrad": lambda found: found["rms_after_lag_mrad"],
    "error as it is, mrad": lambda found: found["rms_mrad"],
    "spread of the lag, p1 to p99, ms": lambda found: found["clock_spread_ms"],
    "starved ticks, %": lambda found: 100 * found["starved_share"],
    "start to first planned command, s": lambda found: found["start_s"],
    "memory of all processes, MB": lambda found: found["pss_mb"],
}
_OURS = "ours"
_REFERENCE = "ideal"
_STEPS = {"cached": "on a row", "interpolated": "between rows", "seam": "just after a new chunk"}


def tables(found: Mapping[str, Any]) -> str:
    """Markdown: a table for each scenario, one for the cost of a step, and what could not be run."""
    parts = [_scenario(name, results, found["seconds"]) for name, results in found["table"].items()]
    parts.append(_costs(found["cost"]))
    troubles = {f"`{name}`": why for name, why in found["not_installed"].items()}
    for scenario, results in found["table"].items():
        troubles |= {f"`{name}`, {scenario}": own["error"] for name, own in results.items() if "error" in own}
    if troubles:
        parts.append("\n".join(f"- {who} did not run: {why}" for who, why in troubles.items()))
    return "\n\n".join(parts) + "\n"


def _scenario(name: str, results: Mapping[str, Figures], seconds: float) -> str:
    own = {contestant: found for contestant, found in results.items() if "error" not in found}
    lines = [
        f"**{SCENARIOS[name]}** (`{name}`)",
        "",
        _row("", *own, "ours against the best other"),
        _rule(len(own) + 2),
    ]
    for label, figure in ROWS.items():
        values = {contestant: figure(found) for contestant, found in own.items()}
        lines.append(_row(label.format(seconds=seconds), *map(_number, values.values()), behind(values)))
    return "\n".join(lines)


def behind(values: Mapping[str, float]) -> str:
    """How our best compares with the best of the others; smaller magnitudes are better. "" where one is missing."""
    ours = {name: abs(value) for name, value in values.items() if name.startswith(_OURS)}
    others = {name: abs(value) for name, value in values.items() if name not in ours and name != _REFERENCE}
    if not ours or not others:
        return ""
    mine, best = min(ours.values()), min(others, key=others.__getitem__)
    difference = mine - others[best]
    if abs(difference) <= 0.05 * others[best] or abs(difference) < 0.05:
        return f"level with {best}"
    return f"{'behind' if difference > 0 else 'ahead of'} {best} by {_number(abs(difference))}"


def _costs(cost: Mapping[str, Figures]) -> str:
    lines = [_row("executor", "a step, µs: p50", "best", "worst"), _rule(4)]
    for name, found in cost.items():
        if name == _REFERENCE or "error" in found:
            continue
        steps = found.get("steps_us", {"": found["step_us"]})
        for step, us in steps.items():
            label = f"{name}, {_STEPS[step]}" if step else name
            lines.append(_row(label, *(f"{us[key]:.2f}" for key in ("p50", "best", "worst"))))
    return "\n".join(lines)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _rule(columns: int) -> str:
    return "|" + "---|" * columns


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())), end="")
