"""What the control process and its planner process say to each other. msgpack, one part, tagged by kind."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.core.types import ActionChunk, CommittedChunk, PlanRequest, RobotState, StateTrack
from vla_runtime.wire.decode import decoder

__all__ = [
    "Alive", "Ask", "Chunk", "Failed", "FromPlanner", "Measured", "NoPlan", "Ready", "Rows", "chunk_from",
    "chunk_message", "decode_ask", "decode_from_planner", "encode", "request_from", "request_message",
]  # fmt: skip

MAX_VALUES = 1_000_000


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of actions, ``dt_ns`` apart from ``t0_ns`` on: ``values`` is f32[N, D], C order, little endian.

    ``end_ns``: until when they come from a plan; 0 for unknown.
    """

    t0_ns: int
    dt_ns: int
    values: bytes
    end_ns: int = 0


class Ask(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A plan request with the robot's newest state and, f64 and i64 in little endian, what it measured before.

    ``history_stamps`` is i64[N], ``history`` f64[N, V]: position, velocity if the state has one, extras.
    ``committed``: what the robot was told and will be, as many columns as joints. ``takeover_ns``: when the answer is
    expected to take over, 0 for unknown.
    """

    episode: int
    seq: int
    stamp_ns: int
    instruction: str
    position: tuple[float, ...]
    velocity: tuple[float, ...] | None
    extras: tuple[float, ...]
    state_stamp_ns: int
    state_seq: int
    history_stamps: bytes = b""
    history: bytes = b""
    committed: Rows | None = None
    takeover_ns: int = 0


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """A robot state at an instant."""

    position: tuple[float, ...]
    velocity: tuple[float, ...] | None
    extras: tuple[float, ...]
    stamp_ns: int
    seq: int


class Ready(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The planner has its policy loaded and its golden sample checked. ``contract``: the PolicySpec as JSON; ``rtc``:
    how the policy keeps to what is committed.
    """

    policy_hash: str
    contract: bytes
    rtc: str = "off"


class Failed(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The planner cannot work at all, and ends."""

    reason: str


class Alive(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A heartbeat: the child's loop turns. ``malformed`` counts the messages so far that were none; ``cameras``, by
    camera and reason, the frames dropped and the requests that a camera could not serve; ``clocks``, by camera, how far
    the clock that stamps its frames is from ours and by how much that may be off, where it is not ours.
    """

    stamp_ns: int
    malformed: int
    cameras: dict[str, dict[str, int]] = {}
    clocks: dict[str, tuple[int, int]] = {}


class NoPlan(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Request ``request_seq`` cannot be answered: a camera has no fresh frame, say."""

    request_seq: int
    reason: str


class Chunk(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """An action chunk, sent at ``sent_ns``: ``values`` is f32[rows, columns], C order, little endian.

    ``state``: what the policy was shown. ``delay``: the rows before it were held to what was committed.
    """

    request_seq: int
    seq: int
    t0_ns: int
    dt_ns: int
    policy_hash: str
    rows: int
    columns: int
    values: bytes
    frames: dict[str, int]
    sent_ns: int = 0
    state: Measured | None = None
    delay: int | None = None


FromPlanner = Ready | Failed | Alive | NoPlan | Chunk

encode = msgspec.msgpack.Encoder().encode
_ask: Callable[[bytes], Ask] = decoder(Ask, "a plan request")
_from_planner: Callable[[bytes], FromPlanner] = decoder(FromPlanner, "a planner's message")


def decode_ask(data: bytes) -> Ask:
    """Bytes from the control process.

    Raises:
        MalformedMessage: they are no request, hold no whole rows, or say that something to come was before the request.
    """
    ask = _ask(data)
    rows, rest = divmod(len(ask.history_stamps), 8)
    if rest or len(ask.history) != 8 * rows * _width(ask):
        raise MalformedMessage(f"{len(ask.history)} bytes for a history of {rows} rows")
    if ask.committed is not None:
        row = 4 * len(ask.position)
        if ask.committed.dt_ns < 1 or not row or not ask.committed.values or len(ask.committed.values) % row:
            raise MalformedMessage(f"{len(ask.committed.values)} bytes committed, {ask.committed.dt_ns} ns apart")
        if ask.committed.end_ns and not ask.committed.end_ns >= ask.stamp_ns:
            raise MalformedMessage(f"committed until {ask.committed.end_ns}, asked at {ask.stamp_ns}")
    if ask.takeover_ns and not ask.takeover_ns >= ask.stamp_ns:
        raise MalformedMessage(f"to take over at {ask.takeover_ns}, asked at {ask.stamp_ns}")
    return ask


def _width(ask: Ask) -> int:
    return len(ask.position) * (1 if ask.velocity is None else 2) + len(ask.extras)


def decode_from_planner(data: bytes) -> FromPlanner:
    """Bytes from a planner.

    Raises:
        MalformedMessage: they are no message, not a chunk's announced shape, or a chunk holds rows that it has not.
    """
    message = _from_planner(data)
    if isinstance(message, Chunk):
        values = message.rows * message.columns
        if not (message.rows > 0 and message.columns > 0 and values <= MAX_VALUES):
            raise MalformedMessage(f"a chunk of {message.rows}x{message.columns}")
        if len(message.values) != 4 * values:
            raise MalformedMessage(f"{len(message.values)} bytes for a chunk of {message.rows}x{message.columns}")
        if message.delay is not None and not 0 <= message.delay <= message.rows:
            raise MalformedMessage(f"{message.delay} rows held of a chunk of {message.rows}x{message.columns}")
    return message


def request_message(request: PlanRequest) -> bytes:
    state, track = request.state, request.history
    stamps, rows = (b"", b"") if track is None else (track.stamps_ns.astype("<i8").tobytes(), _rows(track))
    return encode(
        Ask(
            request.episode, request.seq, request.stamp_ns, request.instruction, tuple(state.position.tolist()),
            None if state.velocity is None else tuple(state.velocity.tolist()), tuple(state.extras.tolist()),
            state.stamp_ns, state.seq, stamps, rows, None if request.committed is None else _sent(request.committed),
            request.takeover_ns,
        )
    )  # fmt: skip


def _sent(committed: CommittedChunk) -> Rows:
    return Rows(
        committed.t0_ns, committed.dt_ns, committed.actions.astype("<f4", copy=False).tobytes(), committed.end_ns
    )


def _rows(track: StateTrack) -> bytes:
    parts = [track.position, track.extras] if track.velocity is None else [track.position, track.velocity, track.extras]
    return np.hstack(parts).astype("<f8", copy=False).tobytes()


def request_from(ask: Ask) -> PlanRequest:
    velocity = None if ask.velocity is None else np.array(ask.velocity)
    state = RobotState(np.array(ask.position), velocity, ask.state_stamp_ns, ask.state_seq, np.array(ask.extras))
    committed = None
    if ask.committed is not None:
        rows = np.frombuffer(ask.committed.values, dtype="<f4").reshape(-1, len(ask.position))
        committed = CommittedChunk(rows, ask.committed.t0_ns, ask.committed.dt_ns, ask.committed.end_ns)
    return PlanRequest(ask.seq, ask.stamp_ns, state, ask.instruction, ask.episode, _track(ask), committed,
                       ask.takeover_ns)  # fmt: skip


def _track(ask: Ask) -> StateTrack | None:
    if not ask.history_stamps:
        return None
    stamps = np.frombuffer(ask.history_stamps, dtype="<i8")
    rows = np.frombuffer(ask.history, dtype="<f8").reshape(len(stamps), _width(ask))
    joints, extras = len(ask.position), len(ask.extras)
    velocity = None if ask.velocity is None else rows[:, joints : 2 * joints]
    return StateTrack(stamps, rows[:, :joints], velocity, rows[:, rows.shape[1] - extras :])


def chunk_message(chunk: ActionChunk) -> bytes:
    rows, columns = chunk.actions.shape
    values = np.ascontiguousarray(chunk.actions, dtype="<f4").tobytes()
    return encode(
        Chunk(
            chunk.request_seq, chunk.seq, chunk.t0_ns, chunk.dt_ns, chunk.policy_hash, rows, columns, values,
            dict(chunk.frames), chunk.sent_ns, None if chunk.state is None else _measured(chunk.state),
            chunk.delay,
        )
    )  # fmt: skip


def _measured(state: RobotState) -> Measured:
    velocity = None if state.velocity is None else tuple(state.velocity.tolist())
    return Measured(tuple(state.position.tolist()), velocity, tuple(state.extras.tolist()), state.stamp_ns, state.seq)


def chunk_from(message: Chunk) -> ActionChunk:
    actions = np.frombuffer(message.values, dtype="<f4").reshape(message.rows, message.columns)
    seen = message.state
    state = None
    if seen is not None:
        velocity = None if seen.velocity is None else np.array(seen.velocity)
        state = RobotState(np.array(seen.position), velocity, seen.stamp_ns, seen.seq, np.array(seen.extras))
    return ActionChunk(
        actions, message.t0_ns, message.dt_ns, message.seq, message.request_seq, message.policy_hash, message.frames,
        message.sent_ns, state, message.delay,
    )  # fmt: skip
