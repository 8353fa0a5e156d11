"""A camera over ZMQ PUB/SUB: the newest valid frames, in the order of their captures; the rest is counted."""

from __future__ import annotations

import time
from collections import Counter, deque
from functools import partial

import msgspec
import zmq

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.core.types import Frame, Shot
from vla_runtime.wire.clock import ClockClient
from vla_runtime.wire.frames import FrameMessage, decode_frame, encode_frame, pixels_of, restamped
from vla_runtime.wire.offset import Offset
from vla_runtime.wire.sockets import open_socket, receive_all, send

__all__ = ["FramePublisher", "ZmqCamera"]

_QUEUE = 200
"""Frames that may wait while the policy runs: at 30 fps, more than six seconds."""
_KEPT = 12
"""Frames that another camera's may be matched with: at 30 fps, 0.4 s."""
_OURS = Offset(0, 0)
_FOREIGN_S = 60
"""No message takes so long: the clock that stamped it is another."""
_NOT_FRAMES = ("malformed", "future", "undecodable")


class _Held:
    """One frame as it came, its capture in our time; decoded once, and only if somebody looks."""

    def __init__(self, message: FrameMessage, data: bytes, capture_ns: int, error_ns: int) -> None:
        self.message, self.capture_ns, self.error_ns = message, capture_ns, error_ns
        self._data = data
        self._frame: Frame | None = None

    def frame(self) -> Frame:
        """Raises MalformedMessage."""
        if self._frame is None:
            message = self.message
            data = self._data if self.capture_ns == message.capture_ns else restamped(message, self.capture_ns)
            self._frame = Frame(pixels_of(message), self.capture_ns, message.seq, data)
        return self._frame


class ZmqCamera:
    """Subscribes to one camera. ``counts`` says what was dropped: ``malformed`` (no frame of this camera, or a broken
    one), ``undecodable``, ``future`` (stamped ahead of the clock), ``older`` (overtaken by a newer frame),
    ``duplicate`` and ``untimed`` (of another machine, whose clock was not measured yet).

    ``clock``: what says how far the clock of the machine that stamps the frames is from ours; None if it is ours.
    """

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """This camera has no options of its own."""

    def __init__(self, name: str, endpoint: str, options: Options | None = None) -> None:
        self.name = name
        self.clock: ClockClient | None = None
        self.counts: Counter[str] = Counter()
        self.doubt = ""
        self.socket = open_socket(zmq.Context.instance(), zmq.SUB, connect=endpoint, queue=_QUEUE)
        self._held: deque[_Held] = deque(maxlen=_KEPT)

    @property
    def malformed(self) -> int:
        """Messages that were no frame to look at."""
        return sum(self.counts[reason] for reason in _NOT_FRAMES)

    def drain(self) -> None:
        """Take everything that has come. Call it often: what waits unread grows old."""
        for data in receive_all(self.socket):
            try:
                message = decode_frame(data, self.name)
            except MalformedMessage:
                self.counts["malformed"] += 1
                continue
            self._take(message, data)

    def shots(self) -> list[Shot]:
        """The newest frames, oldest first."""
        self.drain()
        return [
            Shot(held.capture_ns, held.message.seq, partial(self._look, held), held.message.crc32, held.error_ns)
            for held in self._held
        ]

    def latest(self) -> Frame | None:
        """The newest frame that can be decoded."""
        for shot in reversed(self.shots()):
            if (frame := shot.look()) is not None:
                return frame
        return None

    def close(self) -> None:
        self.socket.close(0)

    def _take(self, message: FrameMessage, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        offset = _OURS if self.clock is None else self.clock.at(now_ns)
        if offset is None:
            self.counts["untimed"] += 1
            self.doubt = "the clock of its machine is not known, nobody answers there"
            return
        capture_ns = message.capture_ns - offset.ns
        ahead_ns = capture_ns - now_ns
        if ahead_ns > offset.error_ns:  # it would stay the newest, and look fresh, for ever
            self.counts["future"] += 1
            self.doubt = f"its frames are stamped {ahead_ns / 1e9:.3f} s ahead of this machine's clock"
        elif any(message.capture_ns == held.message.capture_ns for held in self._held):
            self.counts["duplicate"] += 1
        elif self._held and capture_ns <= self._held[-1].capture_ns:
            self.counts["older"] += 1
        else:
            behind_s = 0.0 if self.clock is not None else (now_ns - message.sent_ns) / 1e9
            self.doubt = f"it is stamped {behind_s:.3f} s behind this machine's clock" if behind_s > _FOREIGN_S else ""
            self._held.append(_Held(message, data, min(capture_ns, now_ns), offset.error_ns))

    def _look(self, held: _Held) -> Frame | None:
        try:
            return held.frame()
        except MalformedMessage:
            if held in self._held:
                self._held.remove(held)
                self.counts["undecodable"] += 1
            return None


class FramePublisher:
    """The other end: one PUB socket for one camera. A subscriber that is slow or gone costs nothing here."""

    def __init__(self, name: str, endpoint: str, encoding: str = "jpeg") -> None:
        self.name = name
        self.encoding = encoding
        self._socket = open_socket(zmq.Context.instance(), zmq.PUB, bind=endpoint, queue=4)

    def publish(self, frame: Frame, now_ns: int) -> bool:
        """Send ``frame``; False if it could not even be queued."""
        return send(self._socket, encode_frame(self.name, frame, now_ns, self.encoding))  # type: ignore[arg-type]

    def close(self) -> None:
        self._socket.close(0)
