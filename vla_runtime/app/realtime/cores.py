"""Which cores a process runs on."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from vla_runtime.app.config import RealtimeConfig
from vla_runtime.core.errors import ConfigError

__all__ = ["check_cores", "cores_of", "listed", "online_cores", "set_cores", "where_to_run"]

_ONLINE = Path("/sys/devices/system/cpu/online")


def online_cores() -> tuple[int, ...]:
    """Every core of this machine, also those that the kernel keeps free (isolcpus)."""
    try:
        return listed(_ONLINE.read_text())
    except (OSError, ValueError):
        return tuple(sorted(os.sched_getaffinity(0)))


def listed(text: str) -> tuple[int, ...]:
    """The kernel's way to write a list of cores: ``0-3,6``.

    Raises:
        ValueError: it is none.
    """
    cores: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores += range(int(first), int(last or first) + 1)
    return tuple(cores)


def check_cores(config: RealtimeConfig | None) -> None:
    """Refuse cores that this machine does not have. Only who will run on them asks: a log is replayed anywhere.

    Raises:
        ConfigError: with the key and the cores there are.
    """
    there = online_cores()
    for key, cores in msgspec.structs.asdict(config.cpus).items() if config is not None else ():
        if missing := sorted(set(cores).difference(there)):
            raise ConfigError(
                f"this machine has no core {', '.join(map(str, missing))}; valid: {', '.join(map(str, there))}",
                f"$.realtime.cpus.{key}",
            )


def where_to_run(config: RealtimeConfig | None, child: Literal["planner", "recorder"]) -> tuple[int, ...]:
    """The cores for a child of the control process: the config's, else those that we may use now.

    Ask before the control process goes to its own: a child that it starts later would inherit them.
    """
    wanted: tuple[int, ...] = () if config is None else getattr(config.cpus, child)
    return wanted or cores_of()


def cores_of(thread: int = 0) -> tuple[int, ...]:
    """Where ``thread`` (0: the calling one) may run."""
    return tuple(sorted(os.sched_getaffinity(thread)))


def set_cores(cores: Collection[int]) -> str:
    """Every thread of this process, and those to come, on ``cores``; "" when done, else why not."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        return f"cores {', '.join(map(str, cores))}: {error.strerror}"
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread), cores)
    return ""
