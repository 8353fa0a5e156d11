"""Is a camera frozen: fresh stamps on a picture, or a frame number, that no longer changes."""

from __future__ import annotations

from vla_runtime.core.types import Shot

__all__ = ["FrozenWatch"]


class FrozenWatch:
    """Watches one camera's frames, by their own stamps.

    A real sensor's noise gives every frame another checksum; a publisher that resends its last picture does not. Where
    pictures repeat by nature (a simulation at rest), ``limit_ns`` 0 switches the watch off.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._newest_ns = -1
        self._seq = self._mark = -1
        self._seq_ns = self._mark_ns = 0

    def see(self, shot: Shot) -> None:
        """Take note of ``shot``, unless it is no newer than the last one."""
        if shot.capture_ns <= self._newest_ns:
            return
        self._newest_ns = shot.capture_ns
        if shot.seq != self._seq:
            self._seq, self._seq_ns = shot.seq, shot.capture_ns
        if shot.mark is None or shot.mark != self._mark:
            self._mark, self._mark_ns = -1 if shot.mark is None else shot.mark, shot.capture_ns

    def reason(self) -> str:
        """Why the camera is taken for frozen, "" if it is not."""
        if not self._limit_ns:
            return ""
        for what, since_ns in (("picture", self._mark_ns), ("frame number", self._seq_ns)):
            still_ns = self._newest_ns - since_ns
            if still_ns > self._limit_ns:
                return f"the same {what} for {still_ns / 1e6:.0f} ms, allowed {self._limit_ns / 1e6:.0f} ms"
        return ""
