"""A camera over ZMQ PUB/SUB: the newest valid frame wins, anything else is counted and dropped."""

from __future__ import annotations

import time

import msgspec
import zmq

from vla_runtime.core.errors import MalformedMessage
from vla_runtime.core.types import Frame
from vla_runtime.wire.frames import FrameMessage, decode_frame, encode_frame, pixels_of
from vla_runtime.wire.sockets import open_socket, receive_all, send

__all__ = ["FramePublisher", "ZmqCamera"]

_QUEUE = 200
"""Frames that may wait while the policy runs: at 30 fps, more than six seconds."""


class ZmqCamera:
    """Subscribes to one camera and keeps the newest frame. ``malformed`` counts what was dropped."""

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """This camera has no options of its own."""

    def __init__(self, name: str, endpoint: str, options: Options | None = None) -> None:
        self.name = name
        self.malformed = 0
        self.socket = open_socket(zmq.Context.instance(), zmq.SUB, connect=endpoint, queue=_QUEUE)
        self._newest: tuple[FrameMessage, bytes] | None = None
        self._newest_ns = 0
        self._frame: Frame | None = None

    def drain(self) -> None:
        """Take everything that has come. Call it often: what waits unread grows old."""
        for data in receive_all(self.socket):
            try:
                message = decode_frame(data, self.name)
            except MalformedMessage:
                self.malformed += 1
                continue
            if message.capture_ns > time.monotonic_ns():  # it would stay the newest, and look fresh, for ever
                self.malformed += 1
            elif message.capture_ns >= self._newest_ns:
                self._newest, self._newest_ns = (message, data), message.capture_ns

    def latest(self) -> Frame | None:
        """The newest frame; each is decoded once, and only if asked for."""
        self.drain()
        if self._newest is not None:
            message, data = self._newest
            self._newest = None
            try:
                self._frame = Frame(pixels_of(message), message.capture_ns, message.seq, data)
            except MalformedMessage:
                self.malformed += 1
        return self._frame

    def close(self) -> None:
        self.socket.close(0)


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
