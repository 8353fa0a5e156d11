"""Lateness against the share of ticks that are later, both logarithmic: an SVG by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.loop.rounds import Blocks

__all__ = ["plot"]

_WIDTH, _HEIGHT, _LEFT, _TOP = 340, 240, 60, 40
_LOW_US, _HIGH_US = 0.1, 10_000.0
_TAIL = 1e-4
_LINES = {"c": ("bare C", "#888888"), "ours": ("ours", "#1f6fb4"), "ours_unlogged": ("ours, no log", "#e08a1e")}


def plot(panels: Mapping[str, Blocks]) -> str:
    """One panel for each of ``panels``, side by side."""
    width = _LEFT + len(panels) * (_WIDTH + _LEFT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + 60}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, (title, blocks) in enumerate(panels.items()):
        parts += _panel(title, blocks, _LEFT + index * (_WIDTH + _LEFT))
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, blocks: Blocks, left: float) -> Iterator[str]:
    bottom = _TOP + _HEIGHT
    yield f'<text x="{left}" y="{_TOP - 18}" font-weight="bold">{title}</text>'
    yield f'<rect x="{left}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#444"/>'
    for us in (0.1, 1, 10, 100, 1000, 10_000):
        y = _y(us)
        yield f'<path d="M{left} {y:.1f}h{_WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{us} µs</text>'
    for later, name in ((0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"), (_TAIL, "p99.99")):
        x = left + _x(later)
        yield f'<path d="M{x:.1f} {_TOP}v{_HEIGHT}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{name}</text>'
    yield f'<text x="{left + _WIDTH / 2}" y="{bottom + 34}" text-anchor="middle">share of ticks no later</text>'
    for row, (name, own) in enumerate(blocks.items()):
        label, colour = _LINES[name]
        late_us = np.concatenate([block.late for block in own]) / 1e3
        later = np.geomspace(1.0, _TAIL, 80)
        points = " ".join(
            f"{left + _x(share):.1f},{_y(us):.1f}"
            for share, us in zip(later, np.quantile(late_us, 1.0 - later), strict=True)
        )
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        yield f'<text x="{left + 12}" y="{_TOP + 18 + 15 * row}" fill="{colour}">{label}</text>'


def _x(later: float) -> float:
    return _WIDTH * float(np.log(later) / np.log(_TAIL))


def _y(us: float) -> float:
    share = np.log(np.clip(us, _LOW_US, _HIGH_US) / _LOW_US) / np.log(_HIGH_US / _LOW_US)
    return _TOP + _HEIGHT * (1.0 - float(share))
