"""A device's cameras on the wire."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vla_runtime.app.build import camera_endpoint
from vla_runtime.app.config import RobotConfig
from vla_runtime.app.host.camera import PublishedCamera
from vla_runtime.app.host.report import CameraReport
from vla_runtime.core.protocols import Device

__all__ = ["HostCameras"]

_WARM_UP_S = 2.0
_END_S = 1.0


class HostCameras:
    """Captures the cameras of ``device``; each is published by its own thread.

    Raises:
        Refusal: an endpoint is in use.
    """

    def __init__(self, device: Device, config: RobotConfig, ipc: Path, say: Callable[[str], None]) -> None:
        self._device, self._say = device, say
        self._cameras: dict[str, PublishedCamera] = {}
        ours = {entry.name: entry for entry in config.cameras}
        start_ns = time.monotonic_ns()
        try:
            for camera in device.cameras:
                entry = ours[camera.name]
                endpoint = camera_endpoint(entry, ipc)
                self._cameras[camera.name] = PublishedCamera(camera, endpoint, entry.encoding, start_ns, say)
        except BaseException:
            self.close()
            raise

    @property
    def reports(self) -> dict[str, CameraReport]:
        """What each camera counts, by name."""
        return {name: camera.report for name, camera in self._cameras.items()}

    def warm_up(self) -> None:
        """Have every camera make a picture before anything depends on the time that takes (drawing: a GL context)."""
        for camera in self._cameras.values():
            camera.warm_up(self._device)
        end = time.monotonic() + _WARM_UP_S
        for name, camera in self._cameras.items():
            if not camera.wait_warm(max(0.0, end - time.monotonic())):
                self._say(f"camera {name} has made no picture yet")

    def begin(self, seed: int) -> None:
        """The episode of ``seed`` begins."""
        for camera in self._cameras.values():
            camera.begin(seed)

    def capture_due(self, now_ns: int) -> None:
        """Capture a frame of each camera whose time has come."""
        for camera in self._cameras.values():
            camera.capture_if_due(self._device, now_ns)

    def close(self) -> None:
        """End the threads. One that is stuck in its camera is left behind after a second, and said to be."""
        for camera in self._cameras.values():
            camera.end()
        end = time.monotonic() + _END_S
        for name, camera in self._cameras.items():
            if not camera.join(max(0.0, end - time.monotonic())):
                self._say(f"camera {name} is stuck in a picture; it is left behind")
