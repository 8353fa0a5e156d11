"""Success and hand-over jump over the delay, a line for each executor, a column for each pattern: an SVG by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.chunks.tables import Found

__all__ = ["plot"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BETWEEN = 300, 200, 62, 40, 56
_COLOURS = (
    "#888888",
    "#1f6fb4",
    "#e08a1e",
    "#2a9d4a",
    "#8a4fbf",
    "#c23b3b",
    "#111111",
    "#15a3a3",
    "#b0307a",
    "#8c6d31",
)
_LOW_RAD, _HIGH_RAD = 1e-4, 1.0
_MARGIN = 10
_UNIT = "rad"


def plot(found: Found, executors: Sequence[str]) -> str:
    """Of the cells of kind ``track``: the success with its 95 % interval, and the mean hand-over jump, logarithmic."""
    track = {cell: own for cell, own in found.items() if cell.kind == "track"}
    patterns = [name for name in ("constant", "jittered", "bursty") if any(cell.pattern == name for cell in track)]
    longest = max((cell.delay for cell in track), default=1) or 1
    names = [name for name in executors if any(cell.executor == name for cell in track)]
    width = _LEFT + max(1, len(patterns)) * (_WIDTH + _LEFT)
    height = _TOP + 2 * (_HEIGHT + _BETWEEN) + 20 + 16 * -(-len(names) // 5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for column, pattern in enumerate(patterns):
        left = _LEFT + column * (_WIDTH + _LEFT)
        for top, title, marks, y, value, spread in (
            (_TOP, "success", _SHARES, _share, lambda own: own["success"], _interval),
            (_TOP + _HEIGHT + _BETWEEN, f"mean hand-over jump in {_UNIT}", _JUMPS, _jump, _mean, None),
        ):
            parts += _frame(f"{title}, {pattern} delay", left, top, longest, marks, y)
            for index, name in enumerate(executors):
                own = {c.delay: figures for c, figures in track.items() if (c.executor, c.pattern) == (name, pattern)}
                if pattern != "constant" and own:  # without delay the patterns are one
                    own |= {c.delay: f for c, f in track.items() if c.executor == name and c.delay == 0}
                known = {delay: figures for delay, figures in sorted(own.items()) if value(figures) is not None}
                parts += _line(known, _COLOURS[index % len(_COLOURS)], left, top, longest, y, value, spread)
    bottom = _TOP + 2 * (_HEIGHT + _BETWEEN)
    for place, name in enumerate(names):
        x, line = _LEFT + (place % 5) * 150, bottom + 10 + 16 * (place // 5)
        colour = _COLOURS[list(executors).index(name) % len(_COLOURS)]
        parts.append(f'<path d="M{x} {line - 4}h18" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{x + 24}" y="{line}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


_SHARES = [(share, f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
_JUMPS = [(jump, f"{jump:g}") for jump in (1e-4, 1e-3, 1e-2, 1e-1, 1)]


def _x(delay: int, left: float, longest: int) -> float:
    return left + _MARGIN + (_WIDTH - 2 * _MARGIN) * delay / longest


def _share(value: float) -> float:
    return _HEIGHT * (1 - value)


def _jump(value: float) -> float:
    inside = min(max(value, _LOW_RAD), _HIGH_RAD)
    return _HEIGHT * (1 - math.log(inside / _LOW_RAD) / math.log(_HIGH_RAD / _LOW_RAD))


def _mean(own: Mapping[str, Any]) -> float | None:
    mean: float | None = own["handover"][_UNIT]["mean"]
    return mean


def _interval(own: Mapping[str, Any]) -> tuple[float, float]:
    return own["success_low"], own["success_high"]


def _frame(
    title: str, left: float, top: float, longest: int, marks: Sequence[tuple[float, str]], y: Callable[[float], float]
) -> Iterator[str]:
    yield f'<text x="{left}" y="{top - 8}" font-weight="bold">{title}</text>'
    for value, label in marks:
        yield f'<path d="M{left} {top + y(value):.1f}h{_WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{left - 5}" y="{top + y(value) + 4:.1f}" text-anchor="end">{label}</text>'
    for delay in range(longest + 1):
        x = _x(delay, left, longest)
        yield f'<path d="M{x:.1f} {top + _HEIGHT}v4" stroke="#444"/>'
        yield f'<text x="{x:.1f}" y="{top + _HEIGHT + 15}" text-anchor="middle">{delay}</text>'
    middle = left + _WIDTH / 2
    yield f'<text x="{middle}" y="{top + _HEIGHT + 29}" text-anchor="middle">delay, policy steps of 50 ms</text>'
    yield f'<rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#444"/>'


def _line(
    own: Mapping[int, Mapping[str, Any]],
    colour: str,
    left: float,
    top: float,
    longest: int,
    y: Callable[[float], float],
    value: Callable[[Mapping[str, Any]], Any],
    spread: Callable[[Mapping[str, Any]], tuple[float, float]] | None,
) -> Iterator[str]:
    at = {delay: _x(delay, left, longest) for delay in own}
    points = " ".join(f"{at[delay]:.1f},{top + y(value(figures)):.1f}" for delay, figures in own.items())
    if points:
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    for delay, figures in own.items():
        yield f'<circle cx="{at[delay]:.1f}" cy="{top + y(value(figures)):.1f}" r="2.4" fill="{colour}"/>'
        if spread is not None:
            low, high = spread(figures)
            yield f'<path d="M{at[delay]:.1f} {top + y(low):.1f}V{top + y(high):.1f}" stroke="{colour}" opacity=".45"/>'
