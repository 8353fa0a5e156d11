"""What a config chooses of a policy that could answer in several ways. ``core.sampling`` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Rtc", "Sampling"]

Rtc = Literal["auto", "off", "prefix", "guidance", "both"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a new chunk is made to continue the plan in use, and how many chunks are drawn to choose from.

    ``rtc``: ``prefix`` holds the rows that will have been executed to what is committed (the graph's input ``delay``),
    ``guidance`` draws all rows towards it (``prefix_weights``), ``both`` does both, ``off`` neither. ``auto``: the
    first of prefix, guidance and off that the graph can do. ``draws``: how many, at least 1.
    """

    rtc: Rtc = "auto"
    draws: int = 1
