"""What the robot measured over the last moments, so that a policy sees the state of the instant of its images."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.types import RobotState, StateTrack

__all__ = ["StateHistory"]

_GAP_NS = 4_000_000
_MOST_ROWS = 128
_NEVER_NS = 1 << 62


class StateHistory:
    """A ring of states, all of its memory taken with the first one.

    Args:
        span_ns: how far back it reaches, where the robot measures without a gap; 0 keeps nothing. The states kept are
            at least 4 ms apart, and further where more than 128 rows would be needed.
    """

    def __init__(self, span_ns: int) -> None:
        self._gap_ns = max(_GAP_NS, -(-span_ns // (_MOST_ROWS - 2)))
        self._rows = -(-span_ns // self._gap_ns) + 2  # one at or before the span's begin, one for the newest
        self._span_ns = span_ns
        self._next_ns: int | None = None if span_ns else _NEVER_NS
        self._layout = (0, False, 0)
        self._count = 0

    def add(self, state: RobotState) -> None:
        """Keep ``state``, unless it comes too soon after the last one kept, or is older."""
        if self._next_ns is not None and state.stamp_ns < self._next_ns:
            return
        velocity = state.velocity
        layout = (len(state.position), velocity is not None, len(state.extras))
        if self._next_ns is None or layout != self._layout:
            self._begin(layout)
        place = self._count % self._rows
        self._stamps[place] = state.stamp_ns
        self._position[place] = state.position
        if velocity is not None:
            self._velocity[place] = velocity
        if layout[2]:
            self._extras[place] = state.extras
        self._count += 1
        self._next_ns = state.stamp_ns + self._gap_ns

    def track(self) -> StateTrack | None:
        """A copy of what is kept, oldest first; None while there is nothing."""
        if not self._count:
            return None
        rows = np.arange(max(0, self._count - self._rows), self._count) % self._rows
        stamps = self._stamps[rows]
        rows = rows[max(0, int(np.searchsorted(stamps, stamps[-1] - self._span_ns, "right")) - 1) :]
        return StateTrack(
            self._stamps[rows],
            self._position[rows],
            self._velocity[rows] if self._layout[1] else None,
            self._extras[rows],
        )

    def _begin(self, layout: tuple[int, bool, int]) -> None:
        joints, _, extras = layout
        self._layout, self._count = layout, 0
        self._stamps = np.zeros(self._rows, dtype=np.int64)
        self._position = np.zeros((self._rows, joints))
        self._velocity = np.zeros((self._rows, joints))
        self._extras = np.zeros((self._rows, extras))
