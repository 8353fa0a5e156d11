"""The device that a config describes."""

from __future__ import annotations

from collections.abc import Sequence

from vla_runtime.app.build import device_context
from vla_runtime.app.config import RobotConfig
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.protocols import Device, DeviceCamera
from vla_runtime.plugins.registry import load_plugin, plugin_options

__all__ = ["open_device"]


def open_device(config: RobotConfig) -> Device:
    """The device that the config describes, checked against it.

    Raises:
        ConfigError: no device, or one whose joints, extras or cameras are not the config's.
    """
    if config.device is None:
        raise ConfigError("this robot has no device for vla-host to drive", "$.device")
    plugin = load_plugin("devices", config.device.type, "$.device.type")
    context = device_context(config)
    device: Device = plugin(plugin_options(plugin, config.device.options, "$.device.options"), context)
    for path, ours, theirs in (
        ("$.joints", context.joints, tuple(device.joints)),
        ("$.extras", context.extras, tuple(device.extras)),
        ("$.cameras", _sizes(context.cameras), _sizes(device.cameras)),
    ):
        if ours != theirs:
            raise ConfigError(f"the config says {ours}, device {config.device.type!r} has {theirs}", path)
    return device


def _sizes(cameras: Sequence[DeviceCamera]) -> tuple[str, ...]:
    return tuple(f"{camera.name} {camera.height}x{camera.width}" for camera in cameras)
