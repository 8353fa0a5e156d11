"""A chunk that was accepted, on the clock."""

from __future__ import annotations

from dataclasses import dataclass

from vla_runtime.control.interpolation import Trajectory
from vla_runtime.core.types import ActionChunk

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """``trajectory`` begins at ``begin_ns``; it is followed from ``takeover_ns`` on, and not at or after ``end_ns``.

    ``fade_ns``: how long it takes over from what was in force before, where the strategy fades; 0 for at once.
    """

    chunk: ActionChunk
    trajectory: Trajectory
    begin_ns: int
    takeover_ns: int
    end_ns: int
    fade_ns: int = 0

    @property
    def last_ns(self) -> int:
        """The instant of its last row."""
        return self.begin_ns + (len(self.chunk.actions) - 1) * self.chunk.dt_ns

    def at(self, now_ns: int) -> list[float]:
        """Its action for ``now_ns``; past its rows, as its trajectory has it. The list is not the caller's."""
        return self.trajectory.at(now_ns - self.begin_ns)
