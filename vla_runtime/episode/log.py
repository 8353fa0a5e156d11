"""The loop's recorder: records to payloads, payloads to a sink. A record that cannot be taken is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from vla_runtime.core.types import ActionChunk, PlanRequest, RobotState, Tick
from vla_runtime.episode.schema import (
    CHUNK,
    MODE,
    REQUEST,
    STATE,
    TICK,
    encode_chunk,
    encode_mode,
    encode_request,
    encode_state,
    encode_tick,
)

__all__ = ["UNENCODABLE", "EpisodeLog", "NullRecorder", "Sink"]


class Sink(Protocol):
    """Where payloads go: an ``EpisodeWriter``. No call raises."""

    def put(self, topic: str, log_ns: int, publish_ns: int, payload: bytes) -> None: ...
    def drop(self) -> None: ...


UNENCODABLE = (TypeError, ValueError, AttributeError, NotImplementedError, OverflowError, msgspec.MsgspecError)
"""A record from a faulty plug-in (an object array, a lone surrogate) must not stop the loop."""


class EpisodeLog:
    """One episode's recorder. Times in the file come from the records alone, so equal runs give equal bytes.

    A record's log time is the newest time the loop had seen: the last tick's ``now_ns`` or the record's own stamp.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._now_ns = 0
        self._mode: tuple[str, str] | None = None

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        """The states that arrived in pass ``tick``."""
        for state in states:
            self._state(tick, state)

    def _state(self, tick: int, state: RobotState) -> None:
        try:
            payload = encode_state(tick, state)
        except UNENCODABLE:
            self._sink.drop()
        else:
            self._sink.put(STATE, max(self._now_ns, state.stamp_ns), state.stamp_ns, payload)

    def request(self, tick: int, request: PlanRequest) -> None:
        """The request that pass ``tick`` sent."""
        try:
            payload = encode_request(tick, request)
        except UNENCODABLE:
            self._sink.drop()
        else:
            self._sink.put(REQUEST, max(self._now_ns, request.stamp_ns), request.stamp_ns, payload)

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        """A chunk that arrived in pass ``tick``; ``refusal`` is "" if it was accepted."""
        try:
            payload = encode_chunk(tick, chunk, refusal)
        except UNENCODABLE:
            self._sink.drop()
        else:
            self._sink.put(CHUNK, max(self._now_ns, chunk.t0_ns), chunk.t0_ns, payload)

    def tick(self, tick: Tick) -> None:
        """One pass of the loop; a change of mode or cause is logged beside it."""
        self._now_ns = tick.now_ns
        try:
            payload = encode_tick(tick)
            change = encode_mode(tick) if (tick.mode, tick.cause) != self._mode else None
        except UNENCODABLE:
            self._sink.drop()
            return
        self._sink.put(TICK, tick.now_ns, tick.now_ns, payload)
        if change is not None:
            self._mode = (tick.mode, tick.cause)
            self._sink.put(MODE, tick.now_ns, tick.now_ns, change)


class NullRecorder:
    """Keeps nothing."""

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        """Nothing."""

    def request(self, tick: int, request: PlanRequest) -> None:
        """Nothing."""

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        """Nothing."""

    def tick(self, tick: Tick) -> None:
        """Nothing."""
