"""The cameras that a config names, opened for whoever looks through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vla_runtime.core.protocols import Camera
from vla_runtime.plugins.planners.settings import CameraSetting
from vla_runtime.plugins.registry import load_plugin, plugin_options
from vla_runtime.wire.clock import ClockClient

__all__ = ["follow_clocks", "open_camera"]


def open_camera(camera: CameraSetting) -> Camera:
    """The camera plug-in that ``camera`` names.

    Raises:
        ConfigError: there is no such plug-in, or its options are wrong.
    """
    plugin = load_plugin("cameras", camera.type)
    options = plugin_options(plugin, camera.options, f"$.cameras[{camera.name}].options")
    opened: Camera = plugin(camera.name, camera.endpoint, options)
    return opened


def follow_clocks(settings: Sequence[CameraSetting], cameras: Mapping[str, Camera]) -> dict[str, ClockClient]:
    """Have each camera of another machine know that machine's clock; one client for each endpoint."""
    clients = {setting.clock: ClockClient(setting.clock) for setting in settings if setting.clock}
    clocks = {setting.name: clients[setting.clock] for setting in settings if setting.clock}
    for name, clock in clocks.items():
        if name in cameras:
            cameras[name].clock = clock  # type: ignore[attr-defined]
    return clocks
