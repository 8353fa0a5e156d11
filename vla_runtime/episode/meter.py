"""Counts a run from its records, in the process that has them: the loop's tick pays nothing for it.

Nothing but the records' own times is used, so the same records give the same counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from vla_runtime.control.metrics import LoopMetrics
from vla_runtime.control.mode import Mode
from vla_runtime.core.types import ActionChunk, RobotState, Tick
from vla_runtime.episode.metrics import MetricsPayload, counted

__all__ = ["Meter"]

_SECOND_NS = 1_000_000_000


class _Control(msgspec.Struct):
    rate_hz: float = 0.0


class _Config(msgspec.Struct):
    """What is needed of a robot config."""

    name: str = ""
    control: _Control = msgspec.field(default_factory=_Control)


_decode_config = msgspec.json.Decoder(_Config).decode


class Meter:
    """``run`` counts all episodes up to the last ``payload``, of which one is due every second of an episode.

    ``info`` names the robot, the policy and this version.
    """

    def __init__(self) -> None:
        self.run = LoopMetrics()
        self.episode = -1
        self.mode = ""
        self.planner_restarts = 0
        self.info: dict[str, str] = {}
        self._second = LoopMetrics()
        self._last: Tick | None = None
        self._period_ns = self._seen_ns = self._due_ns = 0

    def begin(self, metadata: Mapping[str, str]) -> None:
        """An episode begins, with the metadata of its log; the last one's rest is counted."""
        self._add()
        self._second = LoopMetrics()
        self._last = None
        self.episode, self.mode = _int(metadata.get("episode", ""), -1), Mode.IDLE.value
        self._seen_ns = _int(metadata.get("start_ns", ""), 0)
        self._due_ns = self._seen_ns + _SECOND_NS
        try:
            config = _decode_config(metadata.get("config", ""))
        except msgspec.MsgspecError:
            config = _Config()
        self._period_ns = round(1e9 / config.control.rate_hz) if config.control.rate_hz > 0 else 0
        self.info = {"robot": config.name, "policy_hash": metadata.get("policy_hash", ""),
                     "version": metadata.get("vla_runtime", "")}  # fmt: skip

    def take(self, states: Sequence[RobotState], chunks: Sequence[tuple[ActionChunk, str]], tick: Tick | None) -> bool:
        """Count a pass: the states and chunks (with their refusals) that came, and its tick. True: a payload is due."""
        second = self._second
        if states:
            second.states(states)
        for chunk, refusal in chunks:
            if refusal:
                second.chunks_refused[refusal.partition(":")[0]] += 1
            else:
                second.chunks_used += 1
                second.accepted(chunk, self._seen_ns if tick is None else tick.now_ns)
        if tick is None:
            return False
        second.tick(tick)
        second.mode_ns[self.mode] += tick.now_ns - self._seen_ns
        if self._last is not None:
            second.overruns += self._overran(self._last, tick)
        self._last, self._seen_ns = tick, tick.now_ns
        self.mode, self.planner_restarts = tick.mode, tick.planner.restarts
        return tick.now_ns >= self._due_ns

    def payload(self, log_dropped: int) -> MetricsPayload:
        """What there is to say at the last tick; counting the next second begins."""
        tick, now_ns = (-1, self._seen_ns) if self._last is None else (self._last.index, self._last.now_ns)
        self._due_ns += (max(now_ns - self._due_ns, 0) // _SECOND_NS + 1) * _SECOND_NS
        second = counted(self._second)
        self._add()
        return MetricsPayload(
            tick, now_ns, self.episode, self.mode, self.planner_restarts, log_dropped, second, counted(self.run)
        )

    def _add(self) -> None:
        self.run.merge(self._second)
        self._second.clear()

    def _overran(self, before: Tick, tick: Tick) -> bool:
        """Whether deadlines were missed between the two, other than those of ticks whose records are missing."""
        passed_ns = (tick.now_ns - tick.late_ns) - (before.now_ns - before.late_ns)
        return 0 < (tick.index - before.index) * self._period_ns < passed_ns


def _int(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() else otherwise
