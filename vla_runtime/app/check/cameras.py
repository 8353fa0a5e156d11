"""Do the cameras of a config deliver, how often and how late?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from vla_runtime.core.protocols import Camera
from vla_runtime.core.types import Frame
from vla_runtime.plugins.planners.eyes import follow_clocks, open_camera
from vla_runtime.plugins.planners.settings import CameraSetting

__all__ = ["Sight", "watch_cameras"]

_LONGEST_S = 5.0
_COUNTED_S = 1.0
_POLL_S = 0.004


@dataclass(slots=True)
class Sight:
    """What came from one camera, nothing yet. ``first_s``: how long its first frame took.

    ``age_ms``: how old a frame was when it was seen, at most; ``fps``: frames a second by their capture stamps.
    """

    first_s: float | None = None
    age_ms: float | None = None
    fps: float | None = None
    _stamps: list[int] = field(default_factory=list)
    _seq: int | None = None

    def take(self, frame: Frame | None, now_ns: int, start_ns: int) -> None:
        """Look at the newest frame."""
        if frame is None or frame.seq == self._seq:
            return
        self._seq = frame.seq
        if self.first_s is None:
            self.first_s = (now_ns - start_ns) / 1e9
        self._stamps.append(frame.capture_ns)
        self.age_ms = max(self.age_ms or 0.0, (now_ns - frame.capture_ns) / 1e6)
        span_ns = self._stamps[-1] - self._stamps[0]
        if span_ns > 0:
            self.fps = (len(self._stamps) - 1) * 1e9 / span_ns

    def enough(self, now_ns: int, start_ns: int) -> bool:
        """It was watched for long enough to know its rate."""
        return self.first_s is not None and now_ns - start_ns >= (self.first_s + _COUNTED_S) * 1e9


def watch_cameras(cameras: Sequence[CameraSetting]) -> dict[str, Sight]:
    """Open ``cameras``, as the planner does, and watch them all for a second from their first frame.

    One that shows none within five seconds is given up.

    Raises:
        VlaError: a camera cannot be opened.
    """
    sights = {camera.name: Sight() for camera in cameras}
    with ExitStack() as stack:
        opened: dict[str, Camera] = {}
        for camera in cameras:
            opened[camera.name] = open_camera(camera)
            stack.callback(opened[camera.name].close)
        for clock in set(follow_clocks(cameras, opened).values()):
            stack.callback(clock.close)
        now_ns = start_ns = time.monotonic_ns()
        while now_ns - start_ns < _LONGEST_S * 1e9 and not all(s.enough(now_ns, start_ns) for s in sights.values()):
            time.sleep(_POLL_S)
            for name, one in opened.items():
                frame = one.latest()
                now_ns = time.monotonic_ns()
                sights[name].take(frame, now_ns, start_ns)
    return sights
