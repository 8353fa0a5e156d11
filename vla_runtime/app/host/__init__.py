"""The robot host: owns a device's actuators and cameras, and stops the actuators when nobody commands them."""

from vla_runtime.app.host.device import open_device
from vla_runtime.app.host.report import CameraReport, HostReport
from vla_runtime.app.host.server import RobotHost

__all__ = ["CameraReport", "HostReport", "RobotHost", "open_device"]
