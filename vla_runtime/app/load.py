"""From YAML to a checked ``RobotConfig``: every refusal names the key, what stands there and what may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from vla_runtime.app.config import CameraConfig, RobotConfig
from vla_runtime.app.metrics_port import check_metrics
from vla_runtime.core.convert import convert
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.shipped import find_yaml, shipped_yaml
from vla_runtime.core.strict_yaml import read_yaml
from vla_runtime.wire.sockets import check_endpoint

__all__ = ["config_from", "find_robot", "load_config", "shipped_robots"]


def shipped_robots() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    return shipped_yaml()


def find_robot(robot: str) -> Path:
    """The file that ``--robot`` names: a path, or the name of a shipped config.

    Raises:
        ConfigError: neither; the message lists the shipped names.
    """
    return find_yaml(robot, "robot")


def load_config(robot: str) -> RobotConfig:
    """Read and check the config that ``--robot robot`` names. Relative files in it are relative to it.

    Raises:
        ConfigError: with the path of the key at fault.
    """
    path = find_robot(robot)
    return config_from(read_yaml(path), path.resolve().parent)


def config_from(data: Any, directory: Path) -> RobotConfig:
    """A checked config from plain data; its policy file is looked for in ``directory``."""
    config = convert(data, RobotConfig, "$")
    config = msgspec.structs.replace(
        config, policy=msgspec.structs.replace(config.policy, file=str(directory / config.policy.file))
    )
    _check_values(config)
    return config


def _check_values(config: RobotConfig) -> None:
    if not config.joints:
        raise ConfigError("a robot needs at least one joint", "$.joints")
    if not config.instruction.strip():
        raise ConfigError("the instruction is empty", "$.instruction")
    for path, names in (
        ("$.joints", list(config.joint_names)),
        ("$.cameras", [camera.name for camera in config.cameras]),
        ("$.extras", list(config.extras)),
    ):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigError(f"{', '.join(repeated)} is named twice", path)
    for index, joint in enumerate(config.joints):
        low, high = joint.position
        if not low < high:
            raise ConfigError(
                f"joint {joint.name!r} has position limits [{low}, {high}], expected low < high",
                f"$.joints[{index}].position",
            )
        if (joint.acceleration is None) != (joint.jerk is None):
            raise ConfigError(
                f"joint {joint.name!r} has one of acceleration and jerk, expected both or none", f"$.joints[{index}]"
            )
        if (joint.acceleration is None) != (config.joints[0].acceleration is None):
            raise ConfigError(
                f"joint {joint.name!r} and joint {config.joints[0].name!r}: one has limits on acceleration and jerk, "
                "expected all joints to have them or none",
                f"$.joints[{index}]",
            )
    if config.control.gap_timeout_ms * 1e6 < 2 * config.period_ns:
        raise ConfigError(
            f"{config.control.gap_timeout_ms:g} ms is less than two control periods", "$.control.gap_timeout_ms"
        )
    measured = {f"{joint}.{what}" for joint in config.joint_names for what in ("position", "velocity")}
    if shadowed := sorted(measured.intersection(config.extras)):
        raise ConfigError(f"{', '.join(shadowed)} is what a joint measures, give the extra another name", "$.extras")
    if config.host == "local" and config.device is None:
        raise ConfigError("host: local needs a device for vla-host to drive", "$.device")
    if config.realtime is not None and config.realtime.host_priority < config.realtime.priority:
        raise ConfigError(
            f"{config.realtime.host_priority} is below the priority of the control process, "
            f"{config.realtime.priority}; the host, which stops the robot, must be at least as important",
            "$.realtime.host_priority",
        )
    check_metrics(config.metrics)
    if config.robot.endpoint:
        check_endpoint(config.robot.endpoint, insecure=config.robot.insecure, path="$.robot.endpoint")
    _check_policy(config)
    for index, camera in enumerate(config.cameras):
        _check_camera(camera, f"$.cameras[{index}]")


def _check_policy(config: RobotConfig) -> None:
    policy = config.policy
    least_ms = 1e3 * (policy.replan_interval or 1) / policy.step_hz
    if policy.max_plan_age_ms and not policy.max_plan_age_ms > least_ms:
        raise ConfigError(
            f"{policy.max_plan_age_ms:g} ms, expected 0 for no limit, or more than the {least_ms:g} ms that a plan is "
            "followed for before the next one takes over",
            "$.policy.max_plan_age_ms",
        )


def _check_camera(camera: CameraConfig, path: str) -> None:
    if camera.endpoint and camera.type == "zmq":
        check_endpoint(camera.endpoint, insecure=camera.insecure, path=f"{path}.endpoint")
    if camera.clock == "local":
        return
    if camera.type != "zmq":
        raise ConfigError(
            f"{camera.clock!r} given, expected local: a camera of type {camera.type!r} stamps its frames itself",
            f"{path}.clock",
        )
    if camera.clock != "robot":
        if "://" not in camera.clock:
            raise ConfigError(
                f"{camera.clock!r} given, expected local, robot or the endpoint of a clock service", f"{path}.clock"
            )
        check_endpoint(camera.clock, insecure=camera.insecure, path=f"{path}.clock")
