"""What an evaluation keeps of an episode while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_runtime.control.mode import Mode
from vla_runtime.core.types import F64, ActionChunk, PlanRequest, RobotState, Tick

__all__ = ["Trace"]

_PLANNED = frozenset({Mode.ALIGNING.value, Mode.RUNNING.value, Mode.HOLDING.value})


class Trace:
    """A recorder.

    ``commands``: those sent before the robot began to stop, f64[D] each. ``takeovers``: which of them were the first
    to follow another chunk. ``handovers``: f64[D] at each takeover from a chunk that still had rows: how far the action
    wanted lies from where the two before it led. ``success_ns``: the stamp of the first state that called the task done
    with success.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[float, ...]] = []
        self.handovers: list[F64] = []
        self.takeovers: list[int] = []
        self.success_ns: int | None = None
        self._followed = -1
        self._before: tuple[float, ...] | None = None
        self._last: tuple[float, ...] | None = None

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        for state in states:
            if self.success_ns is None and state.task is not None and state.task.success:
                self.success_ns = state.stamp_ns

    def request(self, tick: int, request: PlanRequest) -> None:
        """Nothing of it is measured."""

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        """What matters is what was done with it."""

    def tick(self, tick: Tick) -> None:
        if tick.command is not None and tick.mode in _PLANNED:
            if tick.chunk_seq != self._followed >= 0 and tick.wanted is not None:
                self._take_over(tick.wanted)
            self.commands.append(tick.command)
        self._followed = tick.chunk_seq
        self._before, self._last = self._last, tick.wanted

    def _take_over(self, wanted: tuple[float, ...]) -> None:
        self.takeovers.append(len(self.commands))
        if self._last is not None and self._before is not None:
            self.handovers.append(np.abs(np.array(wanted) - 2.0 * np.array(self._last) + np.array(self._before)))
