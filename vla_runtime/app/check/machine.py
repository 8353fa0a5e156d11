"""What this machine is like, as far as a control loop is concerned."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from vla_runtime.app.realtime.cores import cores_of, listed, online_cores
from vla_runtime.app.realtime.rights import Rights, rights

__all__ = ["Machine", "look_at_machine"]

_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Machine:
    """``allowed``: the cores that this process may use; ``isolated``: those that the kernel gives to nobody by itself.

    ``governors``: how the cores choose their frequency, each kind once; none where the kernel does not.
    """

    kernel: str
    preempt_rt: bool
    clock_resolution_ns: int
    cores: tuple[int, ...]
    allowed: tuple[int, ...]
    isolated: tuple[int, ...]
    governors: tuple[str, ...]
    rights: Rights


def look_at_machine() -> Machine:
    """Read it all."""
    files = sorted(_CPU.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    try:
        isolated = listed(_read(_CPU / "isolated"))
    except ValueError:
        isolated = ()
    return Machine(
        kernel=platform.release(),
        preempt_rt=_read(Path("/sys/kernel/realtime")) == "1" or "PREEMPT_RT" in os.uname().version,
        clock_resolution_ns=round(time.clock_getres(time.CLOCK_MONOTONIC) * 1e9),
        cores=online_cores(),
        allowed=cores_of(),
        isolated=isolated,
        governors=tuple(sorted({_read(file) for file in files} - {""})),
        rights=rights(),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
