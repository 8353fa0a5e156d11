"""The robot host: owns a device's actuators and cameras, and stops the actuators when nobody commands them."""

from vla_runtime.app.host.device import open_device
from vla_runtime.app.host.report import HostReport
from vla_runtime.app.host.server import RobotHost

__all__ = ["HostReport", "RobotHost", "open_device"]
