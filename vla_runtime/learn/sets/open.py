"""Which kind of data set a directory is, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vla_runtime.core.errors import LogError
from vla_runtime.core.spec import Unit
from vla_runtime.learn.sets.lerobot_info import Info, read_info
from vla_runtime.learn.sets.lerobot_v21 import open_v21
from vla_runtime.learn.sets.lerobot_v30 import open_v30
from vla_runtime.learn.sets.openx import OpenXSet, is_openx
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.sets.source import Source

__all__ = ["is_set", "kind_of", "open_set", "open_with"]

_LEROBOT: dict[str, Callable[[Path, Info, SetOptions], Source]] = {
    "v2.0": open_v21,
    "v2.1": open_v21,
    "v3.0": open_v30,
}
"""``codebase_version`` to reader."""
_OPENX = "Open X-Embodiment"


def is_set(path: Path) -> bool:
    """Whether ``path`` looks like a data set of one of these kinds, of whatever version."""
    return (path / "meta" / "info.json").is_file() or is_openx(path)


def kind_of(path: Path) -> str:
    """``LeRobot v2.0``, ``LeRobot v2.1``, ``LeRobot v3.0`` or ``Open X-Embodiment``.

    Raises:
        LogError: none of them; the message says what was looked for.
    """
    if not path.is_dir():
        raise LogError(f"{path} is no directory, expected one with a data set")
    if (path / "meta" / "info.json").is_file():
        version = read_info(path).codebase_version
        if version not in _LEROBOT:
            raise LogError(
                f"{path / 'meta/info.json'} has codebase_version {version!r}, expected one of {', '.join(_LEROBOT)}"
            )
        return f"LeRobot {version}"
    if is_openx(path):
        return _OPENX
    raise LogError(
        f"{path} is no data set that can be read: looked for meta/info.json (LeRobot), for meta.json with "
        f"episode.memmap and observation/ (Open X-Embodiment as torchrl stores it)"
        + (". It holds *.mcap: those are this runtime's own episodes" if any(path.glob("*.mcap")) else "")
    )


def open_set(
    path: Path,
    chunk_length: int = 16,
    *,
    units: Unit = "none",
    size: tuple[int, int] | None = None,
    cameras: Sequence[str] | None = None,
    rate_hz: float | None = None,
    action: Sequence[str] | None = None,
    state: Sequence[str] | None = None,
    instruction: str | None = None,
) -> Source:
    """The data set in the directory ``path``; see ``SetOptions`` for the arguments.

    Raises:
        LogError: it is of no known kind, or what it says of itself cannot be used.
        ConfigError: an option is out of its range, or does not fit the data set.
        MissingExtra: a package that its files need is not installed.
    """
    return open_with(path, SetOptions(chunk_length, units, size, cameras, rate_hz, action, state, instruction))


def open_with(path: Path, options: SetOptions) -> Source:
    """``open_set`` with its arguments in one."""
    kind = kind_of(path)
    if kind == _OPENX:
        return OpenXSet(path, options)
    info = read_info(path)
    return _LEROBOT[info.codebase_version](path, info, options)
