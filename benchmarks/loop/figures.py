"""From blocks to what is written down."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.loop.block import Block, pool
from benchmarks.loop.ratios import SHARES, compare
from benchmarks.loop.rounds import Blocks
from vla_runtime.control.histogram import Histogram

__all__ = ["figures"]


def figures(blocks: Blocks, period_ns: int) -> dict[str, Any]:
    """Each arm's own figures, and ours over the C loop's; logged over unlogged where both were run."""
    found: dict[str, Any] = {name: _arm(own, period_ns) for name, own in blocks.items()}
    found["ours_over_c"] = compare(blocks["ours"], blocks["c"], period_ns)
    if "ours_unlogged" in blocks:
        found["logged_over_unlogged"] = compare(blocks["ours"], blocks["ours_unlogged"], period_ns)
    return found


def _arm(blocks: list[Block], period_ns: int) -> dict[str, Any]:
    pooled = pool(blocks, period_ns)
    found: dict[str, Any] = {
        "samples": len(pooled.late),
        "blocks": len(blocks),
        "late_us": {name: round(pooled.late_ns(share) / 1e3, 2) for name, share in SHARES.items()}
        | {"max": round(float(pooled.late.max()) / 1e3, 2)},
        "deadlines": pooled.deadlines,
        "missed": pooled.missed,
        "skipped": sum(block.skipped for block in blocks),
    }
    compute = np.concatenate([block.compute for block in blocks])
    if len(compute):
        found["tick_us"] = {name: round(float(np.quantile(compute, share)) / 1e3, 1) for name, share in SHARES.items()}
        found["to_command_us"] = _to_command_us(blocks)
        found["collections"] = sum(block.collections for block in blocks)
    return found


def _to_command_us(blocks: list[Block]) -> dict[str, float]:
    whole = Histogram()
    for block in blocks:
        if block.to_command is not None:
            whole.merge(block.to_command)
    return {name: round((whole.quantile(share) or 0) / 1e3, 1) for name, share in SHARES.items()}
