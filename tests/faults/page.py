"""docs/faults.md, written by the campaign itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import psutil

from .results import Result, Spread
from .setting import ACCELERATION, CHUNK_S, HIGH, JERK, QUICK, VELOCITY

__all__ = ["machine", "page"]

_HEAD = """\
# Faults

Every fault below is injected into a live run of real processes: `vla-run` with its planner, its recorder and its host,
camera frames and commands over their sockets. The policy draws a circle, so a robot that moves is seen to move. Each
row says which state the run must reach, and within which time from the fault.

More is checked after every row, against what the device itself wrote down: no command that reached it was
outside the position or velocity limits or not finite, and where the pose is to be held or the run ends, motion was over
in the row's time and {brake:.2f} s more for braking. The log's commands are checked against the limits on position,
velocity, acceleration and jerk, tick by tick; the device saw no others, but for those of a host that brakes.

{written}
"""

_SETUP = """\
## How the runs are set up

| | |
|---|---|
| machine | {machine} |
| control loop, device, cameras | {control:.0f} Hz, {device:.0f} Hz, 2 at 30 Hz |
| chunk | 10 rows, {chunk:.1f} s; a new plan every 0.2 s |
| frame age limit, the side camera's own | {frame:.2f} s, {side:.2f} s |
| the same picture for so long is a frozen camera | {frozen:.1f} s |
| captures shown together differ by no more than | {skew:.0f} ms |
| answer timeout | {answer:.1f} s |
| state age limit, dead man | {state:.2f} s, {dead:.2f} s |
| planner taken for hung | {hang:.1f} s |
| its plan dropped when it is silent for | {beat:.1f} s |
| two ticks farther apart are a fault | {gap:.2f} s |
| limits of each joint | ±{high:.0f} rad, {velocity:.0f} rad/s, {acceleration:.0f} rad/s², {jerk:.0f} rad/s³ |
| hold timeout | {hold:.0f} s, or {short:.0f} s in rows where the run must give up |
| added to every bound for a busy machine | {margin:.2f} s |

"Reached" is the time from the fault to the state demanded: from the log's ticks, or from the device where the host has
to act. For "no effect" it is the longest time in which the device got no new command, and the bound is the dead man's
time. "At rest" is the last command that moved the device, counted from the fault. "Back" is the time from the end of
the fault to the plan being followed again; from the fault itself where the run mends it alone. Each is the median over
the repeats and the worst.
"""

_COLUMNS = "| fault | must reach | within | passes | reached | at rest | back |\n|---|---|---|---|---|---|---|\n"


def machine() -> dict[str, Any]:
    """What the campaign ran on."""
    cpus = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": cpus[0] if cpus else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
    }


def page(report: Mapping[str, Any], found: Sequence[Result]) -> str:
    """The whole page."""
    on = report["machine"]
    failed = [result for result in found if result.passes < result.runs]
    runs = sum(result.runs for result in found)
    verdict = f"All {runs} trials passed." if not failed else (
        f"{sum(result.passes for result in found)} of {runs} trials passed."
    )  # fmt: skip
    times = "once" if report["repeats"] == 1 else f"{report['repeats']} times"
    if report["jobs"] > 1:
        times += f", {report['jobs']} runs at a time on the same cores"
    written = (
        f"This page was written by the campaign, `make soak`, in {report['seconds'] / 60:.0f} minutes on "
        f"{report['date']}: each row {times}. {verdict} `make test` runs some of the rows once, with longer timeouts."
    )
    head = _HEAD.format(brake=QUICK.brake, written=fill(written, 120, break_long_words=False, break_on_hyphens=False))
    setup = _SETUP.format(
        machine=f"{on['cores']} cores ({on['cpu']}), {on['memory_gib']} GiB, kernel {on['kernel']}, "
        f"Python {on['python']}",
        control=1 / QUICK.period, device=1 / QUICK.device_period, chunk=CHUNK_S, frame=QUICK.frame, answer=QUICK.answer,
        state=QUICK.state, dead=QUICK.dead_man, hang=QUICK.hang, hold=QUICK.hold, short=QUICK.short_hold,
        margin=QUICK.margin, side=QUICK.side_frame, frozen=QUICK.frozen, skew=QUICK.skew * 1e3,
        beat=QUICK.heartbeat, gap=QUICK.gap, high=HIGH, velocity=VELOCITY,
        acceleration=ACCELERATION, jerk=JERK,
    )  # fmt: skip
    areas = list(dict.fromkeys(result.row.area for result in found))
    tables = [
        f"## {area.capitalize()}\n\n{_COLUMNS}" + "".join(_line(result) for result in found if result.row.area == area)
        for area in areas
    ]
    return "\n".join([head, *tables, setup, *_failures(failed)])


def _line(result: Result) -> str:
    demand = result.row.demand
    passes = f"{result.passes} of {result.runs}" if not result.lacking else f"not run: needs {result.lacking}"
    times = " | ".join(map(_spread, (result.reached, result.rest, result.back)))
    return f"| {result.row.fault} | {demand.state()} | {demand.within():.2f} s | {passes} | {times} |\n"


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.2f}, worst {spread.worst:.2f}"


def _failures(failed: Sequence[Result]) -> list[str]:
    if not failed:
        return []
    rows = "".join(f"| {result.row.fault} | {problem} |\n" for result in failed for problem in result.problems)
    return [f"## What failed\n\n| fault | what was seen |\n|---|---|\n{rows}"]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
