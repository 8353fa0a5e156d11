"""The figures as docs/benchmarks.md shows them: ``python -m benchmarks.loop.table build/bench/loop.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["tables"]

_LOADS = {"quiet": "none", "policy": "a policy saturates a core"}
_ARMS = {"c": "C", "ours": "ours", "ours_unlogged": "ours, no log"}
_RATIOS = {"ours_over_c": "ours / C", "logged_over_unlogged": "logged / not logged"}


def tables(found: dict[str, Any]) -> str:
    """Three Markdown tables: each arm's lateness and misses, the ratios with their intervals, how long a tick takes."""
    late = [
        "| other load | loop | samples | p50, µs | p99 | p99.9 | max | deadlines missed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ratios = ["| other load | ratio | p50 | p99 | p99.9 | misses |", "|---|---|---|---|---|---|"]
    ticks = [
        "| other load | loop | to the command p50, µs | p99 | whole tick p50 | p99 | collections |",
        "|---|---|---|---|---|---|---|",
    ]
    for load, what in _LOADS.items():
        for name, arm in found[load].items():
            if name in _RATIOS:
                ratios.append(_row(what, _RATIOS[name], *map(_interval, arm.values())))
                continue
            missed = f"{arm['missed']} of {arm['deadlines']}"
            late.append(_row(what, _ARMS[name], arm["samples"], *arm["late_us"].values(), missed))
            if "tick_us" in arm:
                command, tick = arm["to_command_us"], arm["tick_us"]
                numbers = (command["p50"], command["p99"], tick["p50"], tick["p99"], arm["collections"])
                ticks.append(_row(what, _ARMS[name], *numbers))
    return "\n\n".join("\n".join(table) for table in (late, ratios, ticks)) + "\n"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _interval(found: dict[str, float | None]) -> str:
    ratio, low, high = ("∞" if value is None else f"{value:.2f}" for value in found.values())
    return f"{ratio} ({low} to {high})"


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())), end="")
