"""The records that travel through the runtime. All are frozen; all times are int ns of CLOCK_MONOTONIC.

Shapes: H = chunk length, A = action dimensions (= joints D), S = state inputs of the policy.
Units: rad for revolute joints, m for prismatic ones, as the robot's YAML says joint by joint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = [
    "F32",
    "F64",
    "I64",
    "U8",
    "ActionChunk",
    "CommittedChunk",
    "Continuation",
    "Frame",
    "Intervention",
    "Observation",
    "PlanRequest",
    "PlannerStatus",
    "RobotState",
    "Shot",
    "StateTrack",
    "TaskStatus",
    "Tick",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded camera image: ``pixels`` u8[H, W, 3], RGB, and the instant its exposure ended.

    ``wire`` is the message it came in, as the log keeps it; empty for a camera that is read directly.
    """

    pixels: U8
    capture_ns: int
    seq: int
    wire: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A frame that a camera holds, its picture not decoded yet: ``look`` gives it, or None where it cannot.

    ``capture_ns`` may be off by ``error_ns`` (stamped by another machine). ``mark``: the picture's checksum, if known.
    """

    capture_ns: int
    seq: int
    look: Callable[[], Frame | None]
    mark: int | None = None
    error_ns: int = 0


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What a robot that knows its task says about the running episode (simulators and ToyVLAEnv do)."""

    episode: int
    step: int
    done: bool
    success: bool


@dataclass(frozen=True, slots=True, eq=False)
class RobotState:
    """What the robot measured.

    ``position`` f64[D] in the action's joint order, ``velocity`` f64[D] or None, ``extras`` f64[E] in the
    order of the robot config's ``extras`` (a force, a target: whatever else the policy's state may name).
    ``command_age_ns``: how old the command was under which the device stepped to this state; None where there was
    none, or a robot does not say.
    """

    position: F64
    velocity: F64 | None
    stamp_ns: int
    seq: int
    extras: F64 = field(default_factory=lambda: np.zeros(0))
    task: TaskStatus | None = None
    command_age_ns: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StateTrack:
    """What the robot measured over the last moments, thinned: ``stamps_ns`` i64[N], strictly rising, ``position``
    f64[N, D], ``velocity`` f64[N, D] or None, ``extras`` f64[N, E].
    """

    stamps_ns: I64
    position: F64
    velocity: F64 | None
    extras: F64


@dataclass(frozen=True, slots=True, eq=False)
class CommittedChunk:
    """What the robot was told, and will be: row i of ``actions`` f32[H, A], after limits, is for t0 + i dt.

    ``end_ns``: until when a plan in use says where to go, its later rows stay put. Where no plan is in use it is the
    request's stamp; 0 where that is not known.
    """

    actions: F32
    t0_ns: int
    dt_ns: int
    end_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """The plan that a new chunk is to continue, on the new chunk's rows.

    Row i of ``prev_chunk`` f32[H, A], physical units, is what is committed for the time of row i. The rows before
    ``delay`` will have been executed, or are on the way to be, when the chunk takes over. ``weights`` f32[H]: how much
    each row binds, 1 on those rows, falling to 0 where the plan in use ends (``core.rtc.prefix_weights``).
    """

    prev_chunk: F32
    delay: int
    weights: F32


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """The policy's input: frames by camera name, ``state`` f32[S], and the oldest capture among the frames.

    ``robot``: the robot's state of which ``state`` is picked. ``continuation``: the plan that the chunk to come is to
    continue; None where there is none.
    """

    images: Mapping[str, Frame]
    state: F32
    instruction: str
    stamp_ns: int
    robot: RobotState
    continuation: Continuation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlanRequest:
    """A call for one chunk, sent at ``stamp_ns``.

    ``seq`` counts up through all episodes of a run, so that no late answer fits a later request. ``state`` is the
    robot's newest; ``history`` what it measured before, so that images are shown with the state of their instant.
    ``committed``: what the robot was told, and will be if nothing new comes; None before the first command.
    ``takeover_ns``: when the answer is expected to take over; 0: not known, or nothing to continue.
    """

    seq: int
    stamp_ns: int
    state: RobotState
    instruction: str
    episode: int = 0
    history: StateTrack | None = None
    committed: CommittedChunk | None = None
    takeover_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ActionChunk:
    """A policy's answer: ``actions`` f32[H, A] in physical units; row i is meant for ``t0_ns + i * dt_ns``.

    ``frames`` names the camera frames that were looked at, as {camera: seq}, and ``state`` is the robot's state that
    was shown with them, so that a log can re-infer it and train on it. ``sent_ns``: when the planner handed it over, 0
    for unknown. ``delay``: the rows before it were held to what was committed; None where none were.
    """

    actions: F32
    t0_ns: int
    dt_ns: int
    seq: int
    request_seq: int
    policy_hash: str
    frames: Mapping[str, int] = field(default_factory=dict)
    sent_ns: int = 0
    state: RobotState | None = None
    delay: int | None = None


@dataclass(frozen=True, slots=True)
class PlannerStatus:
    """Whether the planner can answer now, how often it was restarted since the run began, and why the last time."""

    up: bool
    restarts: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Intervention:
    """A safety rule changed ``joint``'s command."""

    rule: str
    joint: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything one pass of the loop saw and did: the unit of logging and of replay.

    The states and chunks that arrived in this pass are logged beside it under the same ``index``; ``stop`` is the
    stop that was asked for from outside ("" for none). ``wanted`` and ``command`` are f64[D] as tuples, None when
    there was none. ``late_ns`` and ``compute_ns`` are measurements, not inputs: replay does not compare them.
    """

    index: int
    now_ns: int
    mode: str
    cause: str
    stop: str
    state_seq: int
    planner: PlannerStatus
    request_seq: int
    chunk_seq: int
    wanted: tuple[float, ...] | None
    command: tuple[float, ...] | None
    interventions: tuple[Intervention, ...]
    late_ns: int
    compute_ns: int
