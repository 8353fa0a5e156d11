"""One camera of a host: captured by the thread that steps the device, read and published by a thread of its own.

So a camera that is slow, fails or blocks for ever delays neither the motors nor another camera.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Literal

import numpy as np
import zmq

from vla_runtime.app.delivery import Delivery
from vla_runtime.app.host.report import CameraReport
from vla_runtime.control.rate import Rate
from vla_runtime.core.protocols import Device, DeviceCamera
from vla_runtime.core.types import U8, Frame
from vla_runtime.wire.frames import encode_frame
from vla_runtime.wire.sockets import Endpoint, bulk_context, open_socket, send

__all__ = ["PublishedCamera"]

_UNSEEN = -1  # the seq of the picture that warms a camera up
_QUEUE = 16
"""Frames on the way to a subscriber: late ones may come in bunches, and a full queue drops the newest."""


@dataclass(frozen=True, slots=True)
class _Picture:
    seq: int
    capture_ns: int
    arrival_ns: int
    pixels: Callable[[], U8]


class PublishedCamera:
    """Captures ``camera`` at its rate, on absolute deadlines, and publishes what arrives, when it arrives.

    Args:
        start_ns: when it looks first. Cameras of one rate that begin together look together ever after.
        say: told of the first picture that fails, from the camera's thread.
    """

    def __init__(
        self,
        camera: DeviceCamera,
        endpoint: Endpoint,
        encoding: Literal["jpeg", "raw"],
        start_ns: int,
        say: Callable[[str], None],
    ) -> None:
        self.report = CameraReport()
        self._camera, self._encoding, self._say = camera, encoding, say
        self._rate = Rate(round(1e9 / camera.fps), start_ns)
        self._delivery = Delivery(camera, 0)
        self._warm = Event()
        self._next: SimpleQueue[_Picture | None] = SimpleQueue()  # never holds more than one; None is the end
        # Bound here, so that a refusal reaches the caller; from now on it is the thread's, which also closes it.
        self._socket = open_socket(_context(), zmq.PUB, bind=endpoint, queue=_QUEUE)
        # A daemon: a picture that never comes must not keep the process alive.
        self._thread = Thread(target=self._publish, name=f"camera {camera.name}", daemon=True)
        self._thread.start()

    def warm_up(self, device: Device) -> None:
        """Let the thread read one picture that nobody sees: the first may take long, and hold the interpreter."""
        now_ns = time.monotonic_ns()
        with suppress(Exception):  # its first real picture will say why
            self._next.put(_Picture(_UNSEEN, now_ns, now_ns, device.capture(self._camera.name)))
            return
        self._warm.set()

    def wait_warm(self, timeout_s: float) -> bool:
        """Wait for that picture; False if it did not come."""
        return self._warm.wait(timeout_s)

    def begin(self, seed: int) -> None:
        """From now on frames share the fates of ``seed``."""
        self._delivery = Delivery(self._camera, seed)

    def capture_if_due(self, device: Device, now_ns: int) -> None:
        """Capture a frame now, if the camera's time has come. Never waits for the camera's thread."""
        if now_ns < self._rate.deadline_ns:
            return
        self._rate.next_deadline(now_ns)
        seq = self.report.captured
        self.report.captured += 1
        try:
            pixels = device.capture(self._camera.name)
        except Exception as error:  # a broken camera must not stop the motors
            pixels = _failing(error)
        arrival_ns = self._delivery.arrival_ns(seq, now_ns)
        if arrival_ns is None:
            self.report.lost += 1
            return
        self.report.skipped += self._withdraw()
        self._next.put(_Picture(seq, now_ns, arrival_ns, pixels))

    def end(self) -> None:
        """Ask the thread to end. It does so after the picture it is at."""
        self._withdraw()
        self._next.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False if it is still at its picture."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _withdraw(self) -> bool:
        """Take back the picture that waits for the thread, if there is one."""
        with suppress(Empty):
            return self._next.get_nowait() is not None
        return False

    def _publish(self) -> None:
        """The thread: read each picture as soon as it is captured, send it when it arrives."""
        underway: list[tuple[int, int, bytes]] = []  # a heap of (arrival_ns, seq, message)
        try:
            while True:
                while underway and underway[0][0] <= time.monotonic_ns():
                    self.report.published += send(self._socket, heapq.heappop(underway)[2])
                left_s = max(0, underway[0][0] - time.monotonic_ns()) * 1e-9 if underway else None
                try:
                    picture = self._next.get(timeout=left_s)
                except Empty:
                    continue
                if picture is None:
                    return
                if picture.seq == _UNSEEN:
                    with suppress(Exception):
                        picture.pixels()
                    self._warm.set()
                    continue
                message = self._message(picture)
                if message is not None:
                    heapq.heappush(underway, (picture.arrival_ns, picture.seq, message))
        finally:
            self._socket.close(0)

    def _message(self, picture: _Picture) -> bytes | None:
        """The picture as wire bytes, None if it fails."""
        camera = self._camera
        try:
            pixels = picture.pixels()
            if pixels.shape != (camera.height, camera.width, 3) or pixels.dtype != np.uint8:
                raise ValueError(
                    f"an image of {pixels.dtype} {pixels.shape}, expected uint8 {(camera.height, camera.width, 3)}"
                )
            frame = Frame(pixels, picture.capture_ns, picture.seq)
            return encode_frame(camera.name, frame, max(picture.arrival_ns, time.monotonic_ns()), self._encoding)
        except Exception as error:  # whatever a camera raises, its next picture may be good
            self.report.failed += 1
            if self.report.failed == 1:
                what = f"{type(error).__name__}: {error}"
                self._say(f"camera {camera.name}: picture {picture.seq} failed ({what}); later failures are counted")
            return None


@cache
def _context() -> zmq.Context[zmq.Socket[bytes]]:
    """Not the motors' own, and never ended: a thread that is stuck in its picture still holds a socket."""
    return bulk_context()


def _failing(error: Exception) -> Callable[[], U8]:
    def pixels() -> U8:
        raise error

    return pixels
