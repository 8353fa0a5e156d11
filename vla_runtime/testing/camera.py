"""What every camera must do."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import pairwise

import numpy as np

from vla_runtime.core.protocols import Camera
from vla_runtime.core.types import Frame

__all__ = ["CameraContract"]


class CameraContract:
    """Inherit, and provide ``make`` and ``make_dark``. ``patience_s``: how long the first frames may take."""

    patience_s = 10.0

    def make(self) -> Camera:
        """A camera to which frames are coming."""
        raise NotImplementedError

    def make_dark(self) -> Camera:
        """A camera to which none will come."""
        raise NotImplementedError

    def test_it_meets_the_protocol(self) -> None:
        with closing(self.make()) as camera:
            assert isinstance(camera, Camera)
            assert isinstance(camera.name, str)
            assert camera.name

    def test_without_a_frame_there_is_none(self) -> None:
        with closing(self.make_dark()) as camera:
            assert [camera.latest() for _ in range(3)] == [None] * 3

    def test_frames_are_rgb_bytes_with_an_instant_in_the_past(self) -> None:
        with closing(self.make()) as camera:
            frame = self._frames(camera, 1)[0]
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.ndim == 3
            assert frame.pixels.shape[2] == 3
            assert isinstance(frame.capture_ns, int)
            assert 0 <= frame.capture_ns <= time.monotonic_ns()
            assert frame.seq >= 0

    def test_frames_never_go_back_in_time(self) -> None:
        with closing(self.make()) as camera:
            stamps = [frame.capture_ns for frame in self._frames(camera, 5)]
            assert stamps == sorted(stamps)

    def test_a_frame_is_not_written_over_by_a_later_one(self) -> None:
        with closing(self.make()) as camera:
            first = self._frames(camera, 1)[0]
            seen = first.pixels.copy()
            self._frames(camera, 3)
            assert np.array_equal(first.pixels, seen)

    def test_frames_that_are_kept_can_be_looked_at_by_their_capture(self) -> None:
        with closing(self.make()) as camera:
            newest = self._frames(camera, 3)[-1]
            if not hasattr(camera, "shots"):
                assert camera.latest() is not None
                return
            shots = camera.shots()
            assert shots[-1].capture_ns >= newest.capture_ns
            assert all(before.capture_ns < after.capture_ns for before, after in pairwise(shots))
            frame = shots[-1].look()
            assert frame is not None
            assert (frame.capture_ns, frame.seq) == (shots[-1].capture_ns, shots[-1].seq)

    def _frames(self, camera: Camera, count: int) -> list[Frame]:
        """The next ``count`` different frames."""
        frames: list[Frame] = []
        end = time.monotonic() + self.patience_s
        while len(frames) < count:
            assert time.monotonic() < end, f"{len(frames)} of {count} frames came within {self.patience_s:g} s"
            frame = camera.latest()
            if frame is not None and (not frames or frame.seq != frames[-1].seq):
                frames.append(frame)
            time.sleep(0.002)
        return frames
