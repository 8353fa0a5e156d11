"""Arms in turns: there and back again (ABBA), so that slow changes of the machine cancel out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from benchmarks.loop.block import Block

__all__ = ["Arms", "Blocks", "interleaved"]

Arms = Mapping[str, Callable[[], Block]]
Blocks = Mapping[str, list[Block]]


def interleaved(arms: Arms, rounds: int, what: str) -> Blocks:
    """``rounds`` blocks of each arm; every other round runs backwards."""
    blocks: dict[str, list[Block]] = {name: [] for name in arms}
    for number in range(rounds):
        for name in list(arms) if number % 2 == 0 else list(arms)[::-1]:
            blocks[name].append(arms[name]())
        if sys.stderr.isatty():
            print(f"\r{what}: {number + 1}/{rounds} ", end="" if number + 1 < rounds else "\n", file=sys.stderr)
    return blocks
