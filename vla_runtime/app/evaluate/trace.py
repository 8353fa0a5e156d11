"""What an evaluation keeps of an episode while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_runtime.control.interpolation import linear
from vla_runtime.control.mode import Mode
from vla_runtime.core.types import F64, ActionChunk, PlanRequest, RobotState, Tick

__all__ = ["Trace"]

_PLANNED = frozenset({Mode.ALIGNING.value, Mode.RUNNING.value, Mode.HOLDING.value})


class Trace:
    """A recorder.

    ``commands``: those sent before the robot began to stop, f64[D] each. ``handovers``: f64[D] at each tick on which
    a new chunk took over from one that still had a row, how far the two are apart at that instant. ``success_ns``: the
    stamp of the first state that called the task done with success.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[float, ...]] = []
        self.handovers: list[F64] = []
        self.success_ns: int | None = None
        self._chunks: dict[int, ActionChunk] = {}
        self._followed = -1

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        for state in states:
            if self.success_ns is None and state.task is not None and state.task.success:
                self.success_ns = state.stamp_ns

    def request(self, tick: int, request: PlanRequest) -> None:
        """Nothing of it is measured."""

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        if not refusal:
            self._chunks[chunk.seq] = chunk

    def tick(self, tick: Tick) -> None:
        if tick.command is not None and tick.mode in _PLANNED:
            self.commands.append(tick.command)
        if tick.chunk_seq != self._followed:
            self._hand_over(tick)

    def _hand_over(self, tick: Tick) -> None:
        before, after = (_action_at(self._chunks.get(seq), tick.now_ns) for seq in (self._followed, tick.chunk_seq))
        if before is not None and after is not None:
            self.handovers.append(np.abs(after - before))
        self._followed = tick.chunk_seq
        self._chunks = {seq: chunk for seq, chunk in self._chunks.items() if seq >= tick.chunk_seq}


def _action_at(chunk: ActionChunk | None, now_ns: int) -> F64 | None:
    """As the scheduler has it."""
    if chunk is None or not 0 <= now_ns - chunk.t0_ns < len(chunk.actions) * chunk.dt_ns:
        return None
    return linear(chunk.actions, now_ns - chunk.t0_ns, chunk.dt_ns)
