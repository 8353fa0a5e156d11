"""The executors that are compared: extend the table, and everything else follows.

An executor is a policy file and what it changes in the robot's config. ``restart`` begins every chunk at its row 0
when it arrives, as runtimes without capture times do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from vla_runtime.app.config import LogConfig, RobotConfig
from vla_runtime.app.load import config_from, find_robot
from vla_runtime.core.errors import ConfigError

__all__ = ["EXECUTORS", "ROBOT", "TASK", "Executor", "baseline", "executor", "merged", "robot_config"]

ROBOT, TASK = "arm", "track"
_BC, _FLOW = "track.onnx", "track_flow.onnx"
_EVERY = {"policy": {"answer_timeout_ms": 3000.0}}
"""No executor is to ask again before the worst storm is over."""


@dataclass(frozen=True)
class Executor:
    """``changes``: by section of the robot's config. ``strategy``: one that is tried without a policy file too."""

    name: str
    policy: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    restart: bool = False
    strategy: bool = False


_NAIVE = {"strategy": "latest", "interpolation": "linear"}
_BLEND = {"strategy": "blend", "blend_rows": 6, "interpolation": "cubic"}
_ENSEMBLE = {"strategy": "ensemble", "ensemble_decay": 0.01, "interpolation": "linear"}

EXECUTORS = (
    Executor("restart", _BC, {"chunks": _NAIVE}, restart=True, strategy=True),
    Executor("latest", _BC, {"chunks": _NAIVE}, strategy=True),
    Executor("blend", _BC, {"chunks": _BLEND}, strategy=True),
    Executor("ensemble", _BC, {"chunks": _ENSEMBLE}, strategy=True),
    Executor("flow-latest", _FLOW, {"chunks": _NAIVE, "policy": {"rtc": "off"}}),
    Executor("flow-blend", _FLOW, {"chunks": _BLEND, "policy": {"rtc": "off"}}),
    Executor("flow-prefix", _FLOW, {"chunks": _NAIVE, "policy": {"rtc": "prefix"}}),
    Executor("flow-guidance", _FLOW, {"chunks": _NAIVE, "policy": {"rtc": "guidance"}}),
    Executor("flow-best8", _FLOW, {"chunks": _NAIVE, "policy": {"rtc": "off", "draws": 8}}),
    Executor("flow-prefix-blend", _FLOW, {"chunks": _BLEND, "policy": {"rtc": "prefix"}}),
)


def executor(name: str, table: Sequence[Executor] = EXECUTORS) -> Executor:
    """The one of that name."""
    return {one.name: one for one in table}[name]


def baseline(name: str) -> str:
    """What ``name`` is compared with: its policy's newest chunk, followed as it comes."""
    return {_BC: "latest", _FLOW: "flow-latest"}[executor(name).policy]


def merged(data: Mapping[str, Any], *changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``data`` with the sections of ``changes`` replaced key by key."""
    found = dict(data)
    for change in changes:
        for section, values in change.items():
            found[section] = {**found.get(section, {}), **values}
    return found


def robot_config(one: Executor) -> RobotConfig:
    """The robot as ``one`` runs it.

    Raises:
        ConfigError: this version knows no such key or value, or the policy file is not there.
    """
    path = find_robot(ROBOT).resolve()
    data = yaml.safe_load(path.read_text())
    config = config_from(merged(data, _EVERY, one.changes, {"policy": {"file": f"policies/{one.policy}"}}), path.parent)
    if not Path(config.policy.file).is_file():
        raise ConfigError(f"there is no policy file {one.policy}", "$.policy.file")
    return msgspec.structs.replace(config, log=LogConfig(directory=""))
