"""Which of the frames that one camera holds may be shown: fresh, moving, and no older than what was shown before."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

from vla_runtime.core.errors import VlaError
from vla_runtime.core.protocols import Camera
from vla_runtime.core.types import Shot
from vla_runtime.plugins.planners.frozen import FrozenWatch

__all__ = ["CameraLimits", "FreshCamera", "NotReady"]


class NotReady(VlaError):
    """An observation cannot be made now; the message names the camera and why."""


@dataclass(frozen=True, slots=True)
class CameraLimits:
    """How old a frame may be when it is shown, and how long frames may repeat one picture (0: for ever)."""

    max_age_ns: int
    frozen_ns: int = 0


class FreshCamera:
    """One camera of the policy. ``refused`` counts the requests that it could not serve, by reason.

    Args:
        camera: None for one that is not there.
    """

    def __init__(self, name: str, camera: Camera | None, limits: CameraLimits) -> None:
        self.name = name
        self.refused: Counter[str] = Counter()
        self._camera, self._limits = camera, limits
        self._watch = FrozenWatch(limits.frozen_ns)
        self._shown_ns = -1

    def shots(self, now_ns: int) -> list[Shot]:
        """The frames that may be shown now, oldest first; at least one.

        Raises:
            NotReady: there is none, and why.
        """
        shots = self._held()
        if not shots:
            doubt = getattr(self._camera, "doubt", "")
            self._refuse("dark", "has sent no frame" + (f" that can be used: {doubt}" if doubt else ""))
        for shot in shots:
            self._watch.see(shot)
        fresh = [shot for shot in shots if self._age_ns(shot, now_ns) <= self._limits.max_age_ns]
        if not fresh:
            age_ms, allowed_ms = self._age_ns(shots[-1], now_ns) / 1e6, self._limits.max_age_ns / 1e6
            doubt = getattr(self._camera, "doubt", "")
            self._refuse(
                "stale",
                f": the newest frame is {age_ms:.0f} ms old, allowed {allowed_ms:.0f} ms"
                + (f"; {doubt}" if doubt else ""),
            )
        if frozen := self._watch.reason():
            self._refuse("frozen", f"is frozen: {frozen}")
        return [shot for shot in fresh if shot.capture_ns >= self._shown_ns] or fresh[-1:]

    def show(self, shot: Shot) -> None:
        """Note that ``shot`` is shown: none older will be."""
        self._shown_ns = shot.capture_ns

    def undecodable(self) -> None:
        """Raises NotReady: of none of the frames that may be shown there is a picture."""
        self._refuse("undecodable", "has sent no fresh frame that can be decoded")

    def _held(self) -> list[Shot]:
        if self._camera is None:
            return []
        if hasattr(self._camera, "shots"):
            shots: list[Shot] = list(self._camera.shots())
            return shots
        frame = self._camera.latest()
        if frame is None:
            return []
        mark = zlib.crc32(frame.pixels.tobytes()) if self._limits.frozen_ns else None
        return [Shot(frame.capture_ns, frame.seq, lambda: frame, mark)]

    def _age_ns(self, shot: Shot, now_ns: int) -> int:
        """At most: a stamp that may be off counts as if it were."""
        return now_ns - shot.capture_ns + shot.error_ns

    def _refuse(self, reason: str, text: str) -> None:
        self.refused[reason] += 1
        raise NotReady(f"camera {self.name!r}{'' if text.startswith(':') else ' '}{text}")
