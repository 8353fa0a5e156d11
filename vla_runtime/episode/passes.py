"""One pass of the loop as one message to the recorder process: packed here, turned into JSON there.

The records travel as they are, field by field, so that whatever fields they have is what is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from vla_runtime.core.types import ActionChunk, PlanRequest, RobotState, Tick
from vla_runtime.episode.log import UNENCODABLE
from vla_runtime.episode.schema import exact

__all__ = ["Pass", "PassLog", "PassSink", "array_from", "encode_pass"]

Record = TypeVar("Record")
_F64 = np.dtype("f8")


class Pass(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """What pass ``index`` of the loop saw and did; ``tick`` is None if it could not be packed."""

    index: int
    states: Sequence[RobotState]
    requests: Sequence[PlanRequest]
    chunks: Sequence[tuple[ActionChunk, str]]
    tick: Tick | None


def _plain(value: Any) -> Any:
    """What msgpack knows for a value that it does not: floats for f64[N], (dtype, shape, bytes) for another array."""
    if isinstance(value, np.ndarray):
        if value.dtype == _F64 and value.ndim == 1:
            return value.tolist()
        array = exact(value)
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in an episode log")


def array_from(kind: Any, value: Any) -> Any:
    """The array that ``_plain`` made ``value`` of; what decodes a ``Pass`` must know it (msgspec's ``dec_hook``)."""
    if value and isinstance(value[0], str):
        dtype, shape, data = value
        return exact(np.frombuffer(data, dtype=dtype).reshape(shape))
    return np.array(value, dtype=_F64)


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode


def encode_pass(found: Pass) -> bytes:
    """Pack ``found``; what cannot be packed raises one of ``UNENCODABLE``."""
    return _encode(found)


class PassSink(Protocol):
    """Where passes go: a ``RecorderProcess``. No call raises."""

    def put(self, message: bytes, records: int) -> None: ...
    def drop(self, records: int = 1) -> None: ...


class PassLog:
    """One episode's recorder in the control process: collects what a pass brings, and sends it with its tick."""

    def __init__(self, sink: PassSink) -> None:
        self._sink = sink
        self._states: Sequence[RobotState] = ()
        self._requests: Sequence[PlanRequest] = ()
        self._chunks: Sequence[tuple[ActionChunk, str]] = ()

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        """The states that arrived in this pass."""
        self._states = (*self._states, *states)

    def request(self, tick: int, request: PlanRequest) -> None:
        """The request that this pass sent."""
        self._requests = (*self._requests, request)

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        """A chunk that arrived in this pass; ``refusal`` is "" if it was accepted."""
        self._chunks = (*self._chunks, (chunk, refusal))

    def tick(self, tick: Tick) -> None:
        """The end of the pass."""
        found = Pass(tick.index, self._states, self._requests, self._chunks, tick)
        self._states = self._requests = self._chunks = ()
        count = len(found.states) + len(found.requests) + len(found.chunks) + 1
        try:
            message = encode_pass(found)
        except UNENCODABLE:
            self._put_what_can_be_packed(found)
        else:
            self._sink.put(message, count)

    def _put_what_can_be_packed(self, found: Pass) -> None:
        states, requests, chunks, ticks = (
            self._packable(records) for records in (found.states, found.requests, found.chunks, [found.tick])
        )
        count = len(states) + len(requests) + len(chunks) + len(ticks)
        if count:
            tick = ticks[0] if ticks else None
            index = found.index if isinstance(found.index, int) else -1
            self._sink.put(encode_pass(Pass(index, states, requests, chunks, tick)), count)

    def _packable(self, records: Sequence[Record]) -> list[Record]:
        kept = []
        for record in records:
            try:
                _encode(record)
            except UNENCODABLE:
                self._sink.drop()
            else:
                kept.append(record)
        return kept
