"""What the parts of a run must be able to do. Real, simulated and replayed parts meet the same protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, F64, U8, ActionChunk, Frame, PlannerStatus, PlanRequest, RobotState, Tick

__all__ = [
    "Camera",
    "Clock",
    "Demonstrator",
    "Device",
    "DeviceCamera",
    "DeviceContext",
    "Planner",
    "Policy",
    "Recorder",
    "Robot",
    "StopCategory",
]


class StopCategory(IntEnum):
    """Stop categories in the words of IEC 60204-1. The software only requests them; it is no rated function."""

    IMMEDIATE = 0
    """Remove power at once."""
    CONTROLLED_THEN_OFF = 1
    """Decelerate under power, then remove it."""
    CONTROLLED = 2
    """Decelerate under power and stay powered, holding the pose."""


@runtime_checkable
class Clock(Protocol):
    """Time. ``SystemClock`` is CLOCK_MONOTONIC; ``VirtualClock`` moves only when someone sleeps."""

    def now(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def sleep_until(self, deadline_ns: int) -> None:
        """Return at ``deadline_ns`` or as soon after it as the system can; at once if it has passed."""
        ...


@runtime_checkable
class Robot(Protocol):
    """The control process's side of a robot. In a run no call blocks; ``reset`` may, between episodes."""

    def reset(self, episode: int, seed: int, instruction: str) -> None:
        """Begin an episode: make the robot take commands again and, if it knows a task, set that up.

        Raises:
            DeviceLost: it did not get ready in time.
            Refusal: it will not.
        """
        ...

    def read(self, now_ns: int) -> Sequence[RobotState]:
        """All states that arrived since the last call, oldest first; empty if none did.

        Raises:
            DeviceLost: the robot refused to go on.
        """
        ...

    def write(self, command: F64, now_ns: int) -> None:
        """Send ``command`` f64[D], absolute positions in the configured joint order."""
        ...

    def stop(self, category: StopCategory) -> None:
        """Request a stop. Must be safe to call at any time, any number of times."""
        ...

    def close(self) -> None:
        """Say goodbye and release the device."""
        ...


@runtime_checkable
class Camera(Protocol):
    """The planner's side of a camera.

    One that queues messages has two members more: ``socket``, a ZMQ socket to wake up for, and ``drain()``, called
    whenever something has come, so that nothing waits unread. One that keeps a few frames has ``shots()``: they are
    given oldest first, so that the frames of several cameras can be matched by their captures. ``doubt`` says what is
    wrong with what comes. ``malformed`` and ``counts``, messages dropped by reason, go into the report.
    """

    name: str

    def latest(self) -> Frame | None:
        """The newest frame, or None while none has come. A frame already returned may be returned again."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Policy(Protocol):
    """A chunk policy. ``hash`` identifies the file it came from.

    ``infer`` of one with the attribute ``samples`` (its chunk depends on noise) or ``continues`` (on the plan in use)
    takes two arguments more, by name: ``continuation``, a ``Continuation`` or None, left out None, and ``seed``, left
    out 0. The same arguments give the same chunk. The attribute ``rtc`` says how the continuation is kept: "prefix",
    "guidance", "both" or "off"; unless it is off, the chunk's rows before ``continuation.delay`` are what is committed.
    """

    spec: PolicySpec
    hash: str

    def infer(self, images: Mapping[str, U8], state: F32, instruction_id: int) -> F32:
        """Camera name to u8[H, W, 3] and f32[S] to f32[H, A], physical units.

        The id is that of ``spec.instruction.encode``; what a graph reads for it, ``spec.instruction.inputs`` gives.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class Planner(Protocol):
    """Turns requests into chunks, in its own time. No call blocks."""

    def request(self, request: PlanRequest) -> None:
        """Ask for a chunk. A newer request supersedes an older unanswered one."""
        ...

    def poll(self, now_ns: int) -> Sequence[ActionChunk]:
        """The chunks that arrived since the last call, oldest first."""
        ...

    def status(self, now_ns: int) -> PlannerStatus:
        """Whether it can answer now."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Recorder(Protocol):
    """Takes what the loop saw and did. No call blocks or fails; what cannot be taken is counted."""

    def states(self, tick: int, states: Sequence[RobotState]) -> None: ...
    def request(self, tick: int, request: PlanRequest) -> None: ...
    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None: ...
    def tick(self, tick: Tick) -> None: ...


@dataclass(frozen=True, slots=True)
class DeviceCamera:
    """A camera that a device owns: its name, image size and rate.

    A simulated camera may be slow or lossy: a frame captured at t arrives at t + ``latency_ns`` + u with u uniform in
    [0, ``jitter_ns``), or, with probability ``drop``, never.
    """

    name: str
    height: int
    width: int
    fps: float
    latency_ns: int = 0
    jitter_ns: int = 0
    drop: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What a robot's config says of the device: its joints with position limits f64[D], its extras and its cameras."""

    joints: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    extras: tuple[str, ...]
    cameras: tuple[DeviceCamera, ...]


@runtime_checkable
class Device(Protocol):
    """What ``vla-host`` drives: actuators and cameras that live in one process, real or simulated.

    The host calls ``step`` once every ``period_ns`` with the newest command, or None where there is none (before the
    first one, and after the dead man has stopped the robot: the device then holds its pose).
    """

    joints: Sequence[str]
    extras: Sequence[str]
    cameras: Sequence[DeviceCamera]
    period_ns: int

    def reset(self, seed: int, instruction: str) -> None:
        """Begin a new episode; the same seed and instruction begin the same one."""
        ...

    def step(self, command: F64 | None) -> None:
        """Advance by one period under ``command`` f64[D]."""
        ...

    def measure(self) -> tuple[F64, F64 | None, F64]:
        """Position f64[D], velocity f64[D] or None, extras f64[E], now."""
        ...

    def task(self) -> tuple[int, bool, bool] | None:
        """(step, done, success) of the running episode, or None for a device that knows no task."""
        ...

    def capture(self, camera: str) -> Callable[[], U8]:
        """Take a picture of now, and return at once. Calling the result gives its pixels, u8[H, W, 3] RGB.

        The call may come later, while the device steps on, and may block or raise. It comes once, or never for a
        picture that is not wanted any more. All pictures of one camera are asked for in order and from one thread,
        which need not be the one that captures.
        """
        ...

    def stop(self, category: StopCategory) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class Demonstrator(Protocol):
    """A device that knows tasks and how to do them: simulators with a scripted expert.

    ``tasks`` maps a task's name to its instructions. The instruction alone tells ``Device.reset`` what to do.
    """

    tasks: Mapping[str, Sequence[str]]

    def demonstrate(self, ahead_s: F64) -> F64:
        """The expert's joint commands f64[H, D] for ``ahead_s`` f64[H] seconds (each >= 0) after now."""
        ...
