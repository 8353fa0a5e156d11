"""From YAML to a checked ``RobotConfig``: every refusal names the key, what stands there and what may."""

from __future__ import annotations

import math
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import yaml

from vla_runtime.app.config import CameraConfig, RobotConfig
from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.wire.sockets import check_endpoint

__all__ = ["config_from", "find_robot", "load_config", "shipped_robots"]


def shipped_robots() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "robot_configs"
    directory = installed if installed.is_dir() else package.parent / "robot_configs"
    return {path.stem: path for path in sorted(directory.glob("*.yaml"))}


def find_robot(robot: str) -> Path:
    """The file that ``--robot`` names: a path, or the name of a shipped config.

    Raises:
        ConfigError: neither; the message lists the shipped names.
    """
    shipped = shipped_robots()
    if robot in shipped:
        return shipped[robot]
    path = Path(robot)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or "/" in robot:
        raise ConfigError(f"there is no file {robot!r}")
    raise ConfigError(f"there is no shipped robot {robot!r}; {choices(robot, shipped)}; or give a path to a YAML file")


def load_config(robot: str) -> RobotConfig:
    """Read and check the config that ``--robot robot`` names. Relative files in it are relative to it.

    Raises:
        ConfigError: with the path of the key at fault.
    """
    path = find_robot(robot)
    try:
        with path.open("rb") as file:
            data = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return config_from(data, path.resolve().parent)


def config_from(data: Any, directory: Path) -> RobotConfig:
    """A checked config from plain data; its policy file is looked for in ``directory``."""
    _check_keys(data, RobotConfig, "$")
    try:
        config = msgspec.convert(data, RobotConfig)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        raise ConfigError(_plainly(message), where.rstrip("`") or "$") from error
    config = msgspec.structs.replace(
        config, policy=msgspec.structs.replace(config.policy, file=str(directory / config.policy.file))
    )
    _check_values(config)
    return config


def _plainly(message: str) -> str:
    """msgspec's words, in ours."""
    return message[:1].lower() + message[1:]


def _check_keys(data: Any, kind: Any, path: str) -> None:
    """Refuse keys that ``kind`` does not have, with those it has. Everything else is left to msgspec."""
    kind, many = _struct_in(kind)
    if kind is None:
        return
    if many:
        for index, entry in enumerate(data if isinstance(data, list) else ()):
            _check_keys(entry, kind, f"{path}[{index}]")
        return
    if not isinstance(data, dict):
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in data.items():
        if key not in fields:
            raise ConfigError(f"unknown key; {choices(str(key), fields)}", f"{path}.{key}")
        _check_keys(value, fields[key], f"{path}.{key}")


def _struct_in(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The config type inside ``kind`` (T, T | None or tuple[T, ...]), and whether it is repeated."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        return _struct_in(get_args(kind)[0])[0], True
    return (kind, False) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else (None, False)


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
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError(
                f"joint {joint.name!r} has position limits [{low}, {high}], expected finite low < high",
                f"$.joints[{index}].position",
            )
        for key in ("velocity", "align_tolerance"):
            if not math.isfinite(getattr(joint, key)):
                raise ConfigError(
                    f"joint {joint.name!r}: {getattr(joint, key)}, expected a finite number", f"$.joints[{index}].{key}"
                )
    if config.host == "local" and config.device is None:
        raise ConfigError("host: local needs a device for vla-host to drive", "$.device")
    if config.robot.endpoint:
        check_endpoint(config.robot.endpoint, insecure=config.robot.insecure, path="$.robot.endpoint")
    for index, camera in enumerate(config.cameras):
        _check_camera(camera, f"$.cameras[{index}]")


def _check_camera(camera: CameraConfig, path: str) -> None:
    if camera.endpoint and camera.type == "zmq":
        check_endpoint(camera.endpoint, insecure=camera.insecure, path=f"{path}.endpoint")
