"""The planner's way to the recorder: camera frames as they came over the wire."""

from __future__ import annotations

import zmq

from vla_runtime.wire.sockets import open_socket, send

__all__ = ["FrameTap", "push_socket"]

_QUEUE = 32  # frames may be a megabyte each
_RECONNECT_MS = 20


def push_socket(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, queue: int) -> zmq.Socket[bytes]:
    """A PUSH socket that queues only while somebody is at ``endpoint``, so that what is lost is seen to be lost."""
    socket = open_socket(context, zmq.PUSH, queue=queue)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.connect(endpoint)
    return socket


class FrameTap:
    """Pushes frames to a recorder's ``frame_endpoint``. Never blocks, never raises; ``dropped`` counts."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = push_socket(self._context, endpoint, _QUEUE)
        self.dropped = 0

    def frame(self, wire_bytes: bytes) -> None:
        """One frame of ``wire.frames``. The recorder checks it, and keeps it once however often it comes."""
        try:
            sent = send(self._socket, wire_bytes)
        except zmq.ZMQError:  # closed
            sent = False
        self.dropped += not sent

    def close(self) -> None:
        """Release the socket; frames not yet sent are lost."""
        self._context.destroy(linger=0)
