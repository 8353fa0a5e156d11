"""What a config chooses among, where it should not need NumPy to be read. Other modules do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Interpolation", "Rtc", "Sampling", "StrategyName"]

StrategyName = Literal["latest", "blend", "ensemble"]
"""How overlapping chunks become one motion: ``control.strategies``."""

Interpolation = Literal["linear", "cubic", "min_jerk", "hold"]
"""How one joint gets from row to row: ``control.interpolation``."""

Rtc = Literal["auto", "off", "prefix", "guidance", "both"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a new chunk is made to continue the plan in use, and how many are drawn to choose from: ``core.sampling``.

    ``rtc``: ``prefix`` holds the rows that will have been executed to what is committed (the graph's input ``delay``),
    ``guidance`` draws all rows towards it (``prefix_weights``), ``both`` does both, ``off`` neither. ``auto``: the
    first of prefix, guidance and off that the graph can do. ``draws``: how many, at least 1.
    """

    rtc: Rtc = "auto"
    draws: int = 1
