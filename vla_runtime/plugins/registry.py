"""Plug-ins by the name a config gives them (``type: onnx``).

Ours are listed here; anyone's come through the entry-point groups ``vla_runtime.cameras``, ``vla_runtime.robots``,
``vla_runtime.policies`` and ``vla_runtime.devices``. A module is imported only when a config names it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vla_runtime.core.choice import Sampling
from vla_runtime.core.convert import convert
from vla_runtime.core.errors import ConfigError, MissingExtra, choices

if TYPE_CHECKING:
    from vla_runtime.core.protocols import Policy

__all__ = ["Kind", "load_plugin", "open_policy", "plugin_options"]

Kind = Literal["cameras", "robots", "policies", "devices", "envs"]

_OURS: dict[str, dict[str, str]] = {
    "cameras": {"zmq": "vla_runtime.plugins.cameras.zmq:ZmqCamera"},
    "robots": {"host": "vla_runtime.plugins.robots.host:HostRobot"},
    "policies": {
        "onnx": "vla_runtime.plugins.policies.onnx:OnnxPolicy",
        "torchscript": "vla_runtime.learn.torchscript_policy:TorchScriptPolicy",
    },
    "devices": {
        "sim_arm": "vla_runtime.plugins.devices.sim_arm:SimArm",
        "servo_arm": "vla_runtime.plugins.devices.servo_arm:ServoArm",
        "toy_vla": "vla_runtime.learn.toy_device:ToyVLADevice",
    },
    "envs": {"toy": "vla_runtime.learn.toy_device:replay_actions"},
}
_EXTRA = {"sim_arm": "sim", "torchscript": "train", "toy_vla": "train", "toy": "train"}


def load_plugin(kind: Kind, name: str, path: str = "") -> Any:
    """The class that ``type: name`` stands for; ``path`` is where the config says so.

    Raises:
        ConfigError: there is no such plug-in; the message lists those there are.
        MissingExtra: its package is not installed; the message says which extra brings it.
    """
    target = _OURS[kind].get(name)
    if target is None:
        found = {point.name: point for point in entry_points(group=f"vla_runtime.{kind}")}
        if name not in found:
            raise ConfigError(f"there is no {kind} plug-in {name!r}; {choices(name, [*_OURS[kind], *found])}", path)
        return found[name].load()
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if name in _EXTRA and not (error.name or "").startswith("vla_runtime"):
            raise MissingExtra(f"{kind} plug-in {name!r}", _EXTRA[name]) from error
        raise


def open_policy(name: str, file: Path, threads: int, sampling: Sampling, path: str = "") -> Policy:
    """The policy ``file``, opened by the plug-in ``type: name``; ``path`` is where the config says so.

    Raises:
        ConfigError: there is no such plug-in, or it cannot be told how to sample.
        MissingExtra: its package is not installed.
        PolicyFileError, ContractMismatch: what the plug-in refuses.
    """
    plugin = load_plugin("policies", name, path)
    if "sampling" in signature(plugin).parameters:
        sampled: Policy = plugin(file, threads, sampling=sampling)
        return sampled
    if sampling.rtc not in ("auto", "off") or sampling.draws != 1:
        raise ConfigError(
            f"rtc {sampling.rtc!r} and {sampling.draws} draws given, policies of type {name!r} know neither; expected "
            "rtc: auto or off, and draws: 1",
            "$.policy",
        )
    opened: Policy = plugin(file, threads)
    return opened


def plugin_options(plugin: Any, options: dict[str, Any], path: str) -> Any:
    """``options`` as the plug-in's own ``Options`` type.

    Raises:
        ConfigError: an unknown key, a missing one or a wrong type, with its path and the valid keys.
    """
    return convert(options, plugin.Options, path)
