"""The YAML files that come with the package, found by name or, like anyone's own, by path."""

from __future__ import annotations

import os
from pathlib import Path

from vla_runtime.core.errors import ConfigError, choices

__all__ = ["find_yaml", "shipped_yaml"]


def shipped_yaml(folder: str = "") -> dict[str, Path]:
    """Name to file, of those in ``robot_configs/folder``."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "robot_configs"
    directory = installed if installed.is_dir() else package.parent / "robot_configs"
    return {path.stem: path for path in sorted((directory / folder).glob("*.yaml"))}


def find_yaml(given: str, what: str, folder: str = "") -> Path:
    """The file that ``given`` names: a path, or the name of one that is shipped; ``what`` it is, for the message.

    Raises:
        ConfigError: neither; the message lists the shipped names.
    """
    shipped = shipped_yaml(folder)
    if given in shipped:
        return shipped[given]
    path = Path(given)
    if os.path.isfile(given):  # Path.is_file raises for a name that is too long
        return path
    if path.suffix in (".yaml", ".yml") or "/" in given:
        raise ConfigError(f"there is no file {given!r}")
    raise ConfigError(f"there is no shipped {what} {given!r}; {choices(given, shipped)}; or give a path to a YAML file")
