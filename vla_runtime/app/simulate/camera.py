"""A device's camera in virtual time: the newest frame that has arrived, drawn only when somebody looks at it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from vla_runtime.app.delivery import Delivery
from vla_runtime.control.rate import Rate
from vla_runtime.core.protocols import Clock, Device, DeviceCamera
from vla_runtime.core.types import U8, Frame, Shot
from vla_runtime.wire.frames import decode_frame, encode_frame, pixels_of

__all__ = ["Sight", "SimulatedCamera"]

Sight = Literal["full", "black", "none"]
"""What a look at a frame shows: its picture, black, or (for who only wants to know when it was captured) no picture."""


_KEPT = 12
"""As many as a camera on a socket keeps."""


@dataclass(slots=True, eq=False)
class _Shot:
    """A frame that was captured and not lost; ``frame`` once it was drawn."""

    seq: int
    capture_ns: int
    arrival_ns: int
    picture: Callable[[], U8]
    frame: Frame | None = None


class SimulatedCamera:
    """Captures ``camera`` at its rate, on absolute deadlines from ``start_ns``; frames arrive as ``Delivery`` says.

    Args:
        encoding: of the wire; pixels go through it, so that a policy sees what it would see live.
        clock: what ``latest`` takes for now.
        seed: of the episode, for the frames' fates.
    """

    def __init__(
        self,
        camera: DeviceCamera,
        encoding: Literal["jpeg", "raw"],
        clock: Clock,
        start_ns: int,
        seed: int,
        sight: Sight = "full",
    ) -> None:
        self.name = camera.name
        self._shape = (camera.height, camera.width, 3)
        self._encoding = encoding
        self._clock = clock
        self._rate = Rate(round(1e9 / camera.fps), start_ns)
        self._delivery = Delivery(camera, seed)
        self._sight = sight
        self._captured = 0
        self._underway: list[_Shot] = []
        self._held: deque[_Shot] = deque(maxlen=_KEPT)

    @property
    def arrived(self) -> bool:
        """Whether a frame has arrived by now."""
        self._receive()
        return bool(self._held)

    def capture_if_due(self, device: Device, now_ns: int) -> None:
        """Capture ``device`` as it is now, if the camera's time has come."""
        if now_ns < self._rate.deadline_ns:
            return
        self._rate.next_deadline(now_ns)
        seq = self._captured
        self._captured += 1
        picture = device.capture(self.name)
        arrival_ns = self._delivery.arrival_ns(seq, now_ns)
        if arrival_ns is not None:
            self._underway.append(_Shot(seq, now_ns, arrival_ns, picture))
            self._receive()

    def shots(self) -> list[Shot]:
        """The newest frames that have arrived by now, oldest first; each is drawn once, and only if looked at."""
        self._receive()
        return [Shot(shot.capture_ns, shot.seq, partial(self._look, shot)) for shot in self._held]

    def latest(self) -> Frame | None:
        """The newest frame that has arrived by now."""
        self._receive()
        return self._look(self._held[-1]) if self._held else None

    def close(self) -> None:
        """Nothing to release: the device is not the camera's."""

    def _receive(self) -> None:
        """Keep what has arrived, but for what was overtaken by a newer frame."""
        now_ns = self._clock.now()
        here = sorted(
            (shot for shot in self._underway if shot.arrival_ns <= now_ns), key=lambda shot: (shot.arrival_ns, shot.seq)
        )
        if not here:
            return
        self._underway = [shot for shot in self._underway if shot.arrival_ns > now_ns]
        for shot in here:
            if not self._held or shot.seq > self._held[-1].seq:
                self._held.append(shot)

    def _look(self, shot: _Shot) -> Frame:
        if shot.frame is None:
            shot.frame = self._draw(shot)
            while self._held[0] is not shot:  # pictures are drawn in order: an older one never will be
                self._held.popleft()
        return shot.frame

    def _draw(self, shot: _Shot) -> Frame:
        if self._sight == "none":
            return Frame(np.zeros((0, 0, 3), dtype=np.uint8), shot.capture_ns, shot.seq)
        pixels = shot.picture() if self._sight == "full" else np.zeros(self._shape, dtype=np.uint8)
        drawn = Frame(pixels, shot.capture_ns, shot.seq)
        wire = encode_frame(self.name, drawn, shot.arrival_ns, self._encoding)
        return Frame(pixels_of(decode_frame(wire, self.name)), shot.capture_ns, shot.seq, wire)
