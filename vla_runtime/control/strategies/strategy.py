"""What a chunk strategy must be able to do."""

from __future__ import annotations

from typing import Protocol

from vla_runtime.control.strategies.plan import Plan

__all__ = ["Plans", "Strategy"]

Plans = tuple[Plan, ...]
"""Accepted chunks that still count, oldest first."""


class Strategy(Protocol):
    """How overlapping chunks become one motion. Pure functions of chunks and time, whatever the policy.

    ``coast_rows``: in how many rows' time a chunk that has run out slows down to rest; 0: it stays where it ends.
    """

    @property
    def coast_rows(self) -> float: ...

    def follow(self, plans: Plans, new: Plan) -> Plans:
        """Those that count once ``new`` has been accepted, ``new`` last."""
        ...

    def at(self, plans: Plans, now_ns: int) -> list[float]:
        """The action for ``now_ns``. The last of ``plans`` covers it. The list is not the caller's."""
        ...
