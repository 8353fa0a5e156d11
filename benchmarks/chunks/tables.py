"""The campaign as docs/chunks-results.md shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.chunks.cells import Cell
from benchmarks.chunks.executors import baseline
from benchmarks.chunks.paired import difference
from benchmarks.chunks.world import STEP_NS

__all__ = ["Found", "page"]

Found = Mapping[Cell, Mapping[str, Any]]
"""The figures of one version, by cell."""

_UNIT = "rad"
_STEP_MS = STEP_NS // 1_000_000
_TITLES = {
    "constant": "Every chunk that late",
    "jittered": "Half to one and a half times that late",
    "bursty": "Calm spells and storms",
}


def page(found: Found, executors: Sequence[str], code: str) -> str:
    """Markdown: success and hand-overs for each pattern, then reaction and truth to time."""
    track = {cell: own for cell, own in found.items() if cell.kind == "track"}
    sizes = sorted({cell.episodes for cell in track})
    lines = [
        "# Chunk execution under delay: the figures",
        "",
        "Written by `python -m benchmarks.chunks --report`. [evaluation.md](evaluation.md#the-numbers) defines the",
        f"numbers. Task `track` of robot `arm`, {' and '.join(map(str, sizes)) or 'no'} episodes a cell, the same",
        f"seeds in all; a delay is the mean, in policy steps of {_STEP_MS} ms. Code version `{code}`.",
        "",
        "![Success and hand-over jump over delay](chunks.svg)",
    ]
    patterns = [pattern for pattern in _TITLES if any(cell.pattern == pattern for cell in found)]
    for pattern in patterns:
        own = {cell: figures for cell, figures in track.items() if cell.pattern == pattern}
        if own:
            lines += ["", f"## {_TITLES[pattern]}: {pattern}", "", *_matrix(own, executors, _success)]
            lines += ["", *_compared(own, executors)]
            lines += ["", "| executor | delay, steps | success, 95 % | hand-over mean, rad | p95 | max |"
                      " accel p95, rad/s² | boundary jerk, rad/s³ | starved ticks | refused chunks | episodes |",
                      "|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
            lines += [_row(cell, own[cell]) for cell in _sorted(own, executors)]
    for kind, title, how in (
        ("react", "Reaction", _reaction),
        ("clock", "Truth to time", _truth),
    ):
        trials = {cell: own for cell, own in found.items() if cell.kind == kind}
        if trials:
            lines += ["", f"## {title}", "", *_ABOUT[kind]]
            for pattern in patterns:
                own = {cell: figures for cell, figures in trials.items() if cell.pattern == pattern}
                if own:
                    lines += ["", f"Delay {pattern}, in policy steps:", "", *_matrix(own, executors, how)]
    return "\n".join(lines) + "\n"


_ABOUT = {
    "react": [
        "No physics and no camera: the target steps at a random instant, the policy answers with the target that it",
        "sees. Milliseconds from the step until the command has covered half of the way, median and 95 % quantile;",
        "`-`: the next step, 3 to 4 s later, came first.",
    ],
    "clock": [
        "A policy whose action is the true time: the 95 % quantile and the largest of the command's distance from it,",
        "in control periods of 10 ms.",
    ],
}


def _matrix(found: Found, executors: Sequence[str], how: Callable[[Mapping[str, Any]], str]) -> list[str]:
    delays = sorted({cell.delay for cell in found})
    lines = ["| executor | " + " | ".join(map(str, delays)) + " |", "|---" * (len(delays) + 1) + "|"]
    for name in executors:
        own = {cell.delay: figures for cell, figures in found.items() if cell.executor == name}
        if own:
            cells = (how(own[delay]) if delay in own else "" for delay in delays)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _compared(found: Found, executors: Sequence[str]) -> list[str]:
    """Against the baseline of each on the same seeds; where both have the same number of episodes."""
    of = {(cell.executor, cell.delay): figures for cell, figures in found.items()}
    paired: dict[Cell, dict[str, Any]] = {}
    for cell, figures in found.items():
        other = of.get((baseline(cell.executor), cell.delay))
        if baseline(cell.executor) != cell.executor and other and other["episodes"] == figures["episodes"]:
            paired[cell] = {"difference": difference(figures["succeeded"], other["succeeded"])}
    if not paired:
        return []
    return [
        "More successes than `latest`, or `flow-latest` with its policy, as a share of the same seeds, and the 95 %",
        "interval:",
        "",
        *_matrix(paired, executors, _more),
    ]


def _more(own: Mapping[str, Any]) -> str:
    share, low, high = own["difference"]
    return f"{share:+.3f} ({low:+.2f} to {high:+.2f})"


def _success(own: Mapping[str, Any]) -> str:
    return f"{own['success']:.3f} ({own['success_low']:.2f} to {own['success_high']:.2f})"


def _reaction(own: Mapping[str, Any]) -> str:
    return f"{_ms(own['median_s'])}, {_ms(own['p95_s'])}"


def _truth(own: Mapping[str, Any]) -> str:
    return f"{_number(own['p95_periods'], '.2f')}, {_number(own['max_periods'], '.2f')}"


def _row(cell: Cell, own: Mapping[str, Any]) -> str:
    seam = own["handover"][_UNIT]
    numbers = (
        *(_number(seam[name], ".4f") for name in ("mean", "p95", "max")),
        _number(own["acceleration"][_UNIT], ".1f"),
        _number(own["boundary_jerk"][_UNIT], ".0f"),
        str(own["starved_ticks"]),
        ", ".join(f"{kind} {count}" for kind, count in own["refusals"].items()) or "0",
        str(own["episodes"]),
    )
    return f"| {cell.executor} | {cell.delay} | {_success(own)} | " + " | ".join(numbers) + " |"


def _sorted(found: Found, executors: Sequence[str]) -> Iterable[Cell]:
    order = {name: index for index, name in enumerate(executors)}
    return sorted(found, key=lambda cell: (cell.delay, order.get(cell.executor, len(order))))


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.0f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
