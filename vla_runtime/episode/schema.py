"""Topics and their JSON payloads: records to bytes and back, exactly.

Every finite float reads back to the same bits. JSON has no NaN and no infinity: they are the strings "NaN",
"Infinity" and "-Infinity" (the bits inside a NaN are not kept). A state, request or chunk carries the index of the
``tick`` in which the loop saw it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from vla_runtime.core.types import ActionChunk, CommittedChunk, PlanRequest, RobotState, TaskStatus, Tick

__all__ = [
    "CAMERA",
    "CHUNK",
    "METRICS",
    "MODE",
    "REQUEST",
    "STATE",
    "TICK",
    "ModeChange",
    "decode_chunk",
    "decode_mode",
    "decode_request",
    "decode_state",
    "decode_tick",
    "encode_chunk",
    "encode_mode",
    "encode_request",
    "encode_state",
    "encode_tick",
    "exact",
]

TICK = "/tick"
STATE = "/state"
REQUEST = "/request"
CHUNK = "/chunk"
MODE = "/mode"
METRICS = "/metrics"
CAMERA = "/camera/"
"""Prefix: the topic of a camera is ``/camera/<name>``."""

_EXACT_DTYPES = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"}


class ModeChange(msgspec.Struct, frozen=True):
    """The loop entered ``mode`` in this ``tick``, or stayed in it for another ``cause``."""

    tick: int
    mode: str
    cause: str


class StateFields(msgspec.Struct, frozen=True):
    """A RobotState with lists for arrays, without the age of the command, which is no measurement of the robot's."""

    seq: int
    stamp_ns: int
    position: list[float]
    velocity: list[float] | None
    extras: list[float]
    task: TaskStatus | None


class StatePayload(StateFields, frozen=True, kw_only=True):
    """``/state``."""

    tick: int
    command_age_ns: int | None = None


class CommittedFields(msgspec.Struct, frozen=True):
    """A CommittedChunk: ``actions`` f32[H, A], row-major. Without ``end_ns`` (older logs) all rows are a plan's."""

    t0_ns: int
    dt_ns: int
    shape: list[int]
    actions: list[float]
    end_ns: int | None = None


class RequestPayload(msgspec.Struct, frozen=True):
    """``/request``. ``committed``: what the robot was told and will be, null before the first command."""

    tick: int
    seq: int
    stamp_ns: int
    instruction: str
    state: StateFields
    episode: int = 0
    committed: CommittedFields | None = None
    takeover_ns: int = 0


class ChunkPayload(msgspec.Struct, frozen=True):
    """``/chunk``: ``actions`` in row-major order; ``refusal`` is "" when the chunk was accepted.

    ``state``: the robot's state that the policy was shown, null where that is not known. ``delay``: the rows before
    it were held to what was committed, null where none were.
    """

    tick: int
    refusal: str
    seq: int
    request_seq: int
    t0_ns: int
    dt_ns: int
    policy_hash: str
    frames: dict[str, int]
    shape: list[int]
    dtype: str
    actions: list[float | int]
    sent_ns: int = 0
    state: StateFields | None = None
    delay: int | None = None


def _scalar(value: Any) -> Any:
    """NumPy scalars as Python's, for records that hold them."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} has no place in an episode log")


_encode = msgspec.json.Encoder(enc_hook=_scalar).encode
# Lax decoding is what reads "NaN" and "Infinity" as floats.
_decode_tick = msgspec.json.Decoder(Tick, strict=False).decode
_decode_state = msgspec.json.Decoder(StatePayload, strict=False).decode
_decode_request = msgspec.json.Decoder(RequestPayload, strict=False).decode
_decode_chunk = msgspec.json.Decoder(ChunkPayload, strict=False).decode
decode_mode = msgspec.json.Decoder(ModeChange).decode


def exact(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``array`` in a number type that the log keeps; others become f64.

    Raises:
        TypeError: it does not hold numbers.
    """
    if array.dtype.kind not in "biuf":
        raise TypeError(f"values of dtype {array.dtype}, expected numbers")
    return array if array.dtype.str in _EXACT_DTYPES else array.astype(np.float64)


def _finite(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values))


def _spelt(values: Iterable[float]) -> list[Any]:
    def spell(value: float) -> Any:
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")

    return [spell(value) for value in values]


def _list(array: npt.NDArray[Any]) -> list[Any]:
    values: list[Any] = array.tolist()
    return values if _finite(values) else _spelt(values)


def encode_tick(tick: Tick) -> bytes:
    """One tick as JSON."""
    wanted, command = tick.wanted, tick.command
    if (wanted is None or _finite(wanted)) and (command is None or _finite(command)):
        return _encode(tick)
    fields = {name: getattr(tick, name) for name in tick.__dataclass_fields__}
    fields["wanted"] = None if wanted is None else _spelt(wanted)
    fields["command"] = None if command is None else _spelt(command)
    return _encode(fields)


def decode_tick(data: bytes) -> Tick:
    """Inverse of ``encode_tick``; raises msgspec.MsgspecError."""
    return _decode_tick(data)


def encode_mode(tick: Tick) -> bytes:
    """The transition that ``tick`` shows, as JSON."""
    return _encode(ModeChange(tick.index, tick.mode, tick.cause))


def _lists(state: RobotState) -> tuple[int, int, list[Any], list[Any] | None, list[Any], TaskStatus | None]:
    velocity = None if state.velocity is None else _list(state.velocity)
    return state.seq, state.stamp_ns, _list(state.position), velocity, _list(state.extras), state.task


def _state(fields: StateFields, command_age_ns: int | None = None) -> RobotState:
    return RobotState(
        position=np.array(fields.position, dtype=np.float64),
        velocity=None if fields.velocity is None else np.array(fields.velocity, dtype=np.float64),
        stamp_ns=fields.stamp_ns,
        seq=fields.seq,
        extras=np.array(fields.extras, dtype=np.float64),
        task=fields.task,
        command_age_ns=command_age_ns,
    )


def encode_state(tick: int, state: RobotState) -> bytes:
    """One state, seen in pass ``tick``, as JSON."""
    return _encode(StatePayload(*_lists(state), tick=tick, command_age_ns=state.command_age_ns))


def decode_state(data: bytes) -> tuple[int, RobotState]:
    """Inverse of ``encode_state``; raises msgspec.MsgspecError."""
    payload = _decode_state(data)
    return payload.tick, _state(payload, payload.command_age_ns)


def encode_request(tick: int, request: PlanRequest) -> bytes:
    """One request, sent in pass ``tick``, as JSON."""
    state = StateFields(*_lists(request.state))
    committed = None
    if request.committed is not None:
        rows = request.committed.actions
        committed = CommittedFields(
            request.committed.t0_ns, request.committed.dt_ns, list(rows.shape), _list(rows.ravel()),
            request.committed.end_ns,
        )  # fmt: skip
    return _encode(
        RequestPayload(
            tick, request.seq, request.stamp_ns, request.instruction, state, request.episode, committed,
            request.takeover_ns,
        )
    )  # fmt: skip


def decode_request(data: bytes) -> tuple[int, PlanRequest]:
    """Inverse of ``encode_request``; raises msgspec.MsgspecError or ValueError."""
    payload = _decode_request(data)
    state = _state(payload.state)
    fields, committed = payload.committed, None
    if fields is not None:
        rows = np.array(fields.actions, dtype=np.float32).reshape(fields.shape)
        end_ns = fields.t0_ns + len(rows) * fields.dt_ns if fields.end_ns is None else fields.end_ns
        committed = CommittedChunk(rows, fields.t0_ns, fields.dt_ns, end_ns)
    request = PlanRequest(
        payload.seq, payload.stamp_ns, state, payload.instruction, payload.episode, committed=committed,
        takeover_ns=payload.takeover_ns,
    )  # fmt: skip
    return payload.tick, request


def encode_chunk(tick: int, chunk: ActionChunk, refusal: str) -> bytes:
    """One chunk, seen in pass ``tick``, as JSON. Any shape is kept; numbers of other types become f64."""
    actions = exact(np.asarray(chunk.actions))
    return _encode(
        ChunkPayload(
            tick, refusal, chunk.seq, chunk.request_seq, chunk.t0_ns, chunk.dt_ns, chunk.policy_hash,
            dict(chunk.frames), list(actions.shape), actions.dtype.str, _list(actions.ravel()), chunk.sent_ns,
            None if chunk.state is None else StateFields(*_lists(chunk.state)), chunk.delay,
        )
    )  # fmt: skip


def decode_chunk(data: bytes) -> tuple[int, ActionChunk, str]:
    """Inverse of ``encode_chunk``: (tick, chunk, refusal); raises msgspec.MsgspecError or ValueError."""
    payload = _decode_chunk(data)
    if payload.dtype not in _EXACT_DTYPES:
        raise ValueError(f"chunk of dtype {payload.dtype!r}; valid: {', '.join(sorted(_EXACT_DTYPES))}")
    actions: Any = np.array(payload.actions, dtype=payload.dtype).reshape(payload.shape)
    chunk = ActionChunk(
        actions, payload.t0_ns, payload.dt_ns, payload.seq, payload.request_seq, payload.policy_hash, payload.frames,
        payload.sent_ns, None if payload.state is None else _state(payload.state), payload.delay,
    )  # fmt: skip
    return payload.tick, chunk, payload.refusal
