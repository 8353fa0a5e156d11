"""A device's cameras on the wire: each at its own rate, on absolute deadlines."""

from __future__ import annotations

import time
from pathlib import Path

from vla_runtime.app.build import camera_endpoint
from vla_runtime.app.config import RobotConfig
from vla_runtime.control.rate import Rate
from vla_runtime.core.protocols import Device, DeviceCamera
from vla_runtime.core.types import Frame
from vla_runtime.plugins.cameras.zmq import FramePublisher

__all__ = ["PublishedCamera"]


class PublishedCamera:
    """Captures and publishes one camera."""

    def __init__(self, camera: DeviceCamera, config: RobotConfig, ipc: Path) -> None:
        ours = next(entry for entry in config.cameras if entry.name == camera.name)
        self._name = camera.name
        self._publisher = FramePublisher(ours.name, camera_endpoint(ours, ipc), ours.encoding)
        self._rate = Rate(round(1e9 / camera.fps), time.monotonic_ns())
        self._seq = 0

    def publish_if_due(self, device: Device, now_ns: int) -> None:
        """Send a frame captured now, if the camera's time has come."""
        if now_ns < self._rate.deadline_ns:
            return
        self._rate.next_deadline(now_ns)
        self._publisher.publish(Frame(device.capture(self._name)(), now_ns, self._seq), now_ns)
        self._seq += 1

    def close(self) -> None:
        self._publisher.close()
