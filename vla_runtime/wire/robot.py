"""What a control process and a robot host say to each other. msgpack, one part, tagged by kind.

One client leads at a time: the host answers ``Hello`` with ``Welcome`` or ``Refused`` and takes commands from nobody
else until the client says ``Goodbye`` or has been silent for the length of a lease. Whoever asks is told the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.wire.clock import Ping, Pong
from vla_runtime.wire.decode import decoder

__all__ = [
    "PROTOCOL", "CameraInfo", "Command", "FromHost", "Goodbye", "Hello", "Ping", "Pong", "Refused", "Reset", "State",
    "StopRequest",
    "Task", "ToHost", "Welcome", "decode_from_host", "decode_to_host", "encode",
]  # fmt: skip

PROTOCOL = 1
"""Version of this conversation; both sides must speak the same one."""


class _Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    pass


class Hello(_Message, frozen=True, tag=True, array_like=True):
    """Asks to lead. ``period_ns`` is the client's control period, which sets the host's dead man."""

    protocol: int
    pid: int
    period_ns: int


class Command(_Message, frozen=True, tag=True, array_like=True):
    """Absolute joint positions [D] for ``episode``; ``sent_ns`` is CLOCK_MONOTONIC at sending."""

    episode: int
    seq: int
    sent_ns: int
    position: tuple[float, ...]


class StopRequest(_Message, frozen=True, tag=True, array_like=True):
    """Asks for a stop of this category (IEC 60204-1: 0, 1, 2)."""

    category: int


class Reset(_Message, frozen=True, tag=True, array_like=True):
    """Begins episode ``episode``; the robot takes commands again."""

    episode: int
    seed: int
    instruction: str


class Goodbye(_Message, frozen=True, tag=True, array_like=True):
    """The client leaves; silence after this is no alarm."""


class CameraInfo(msgspec.Struct, frozen=True, array_like=True):
    name: str
    height: int
    width: int
    fps: float


class Welcome(_Message, frozen=True, tag=True, array_like=True):
    """The client leads. What the device is, in the order in which states and commands are given."""

    joints: tuple[str, ...]
    extras: tuple[str, ...]
    cameras: tuple[CameraInfo, ...]
    dead_man_ns: int


class Refused(_Message, frozen=True, tag=True, array_like=True):
    """The client does not lead, or no longer."""

    reason: str


class Task(msgspec.Struct, frozen=True, array_like=True):
    step: int
    done: bool
    success: bool


class State(_Message, frozen=True, tag=True, array_like=True):
    """A measurement. ``stopped`` is why the host no longer takes commands in this episode, "" while it does.

    ``command_age_ns``: how old the command was at the step before this measurement, None if there was none.
    """

    episode: int
    seq: int
    stamp_ns: int
    position: tuple[float, ...]
    velocity: tuple[float, ...] | None
    extras: tuple[float, ...]
    task: Task | None
    stopped: str
    command_age_ns: int | None = None


ToHost = Hello | Command | StopRequest | Reset | Goodbye | Ping
FromHost = Welcome | Refused | State | Pong

encode = msgspec.msgpack.Encoder().encode
_to_host: Callable[[bytes], ToHost] = decoder(ToHost, "a client's message")
_from_host: Callable[[bytes], FromHost] = decoder(FromHost, "a host's message")


def decode_to_host(data: bytes) -> ToHost:
    """Bytes from a client.

    Raises:
        MalformedMessage: not one of ``ToHost``, or a command that is not finite.
    """
    message = _to_host(data)
    if isinstance(message, Command):
        _finite(message.position)
    return message


def decode_from_host(data: bytes) -> FromHost:
    """Bytes from a host.

    Raises:
        MalformedMessage: not one of ``FromHost``, or a measurement that is not finite.
    """
    message = _from_host(data)
    if isinstance(message, State):
        _finite(message.position + (message.velocity or ()) + message.extras)
    return message


def _finite(values: tuple[float, ...]) -> None:
    # A sum of finite values may overflow, but it is finite only if they all are.
    if not (math.isfinite(sum(values)) or all(map(math.isfinite, values))):
        raise MalformedMessage(f"values that are not finite: {values}")
