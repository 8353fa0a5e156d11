"""What this process may ask of the kernel, before it asks."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rights", "rights"]

_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23
_HIGHEST = 99


@dataclass(frozen=True, slots=True)
class Rights:
    """``rtprio``: the highest SCHED_FIFO priority, 0 for none. ``memlock``: bytes that may be locked, None for all."""

    rtprio: int
    memlock: int | None


def rights() -> Rights:
    """A capability beats the limit of the same purpose."""
    capabilities = _effective()
    rtprio = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if capabilities >> _CAP_SYS_NICE & 1 or rtprio == resource.RLIM_INFINITY:
        rtprio = _HIGHEST
    memlock: int | None = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if capabilities >> _CAP_IPC_LOCK & 1 or memlock == resource.RLIM_INFINITY:
        memlock = None
    return Rights(min(rtprio, _HIGHEST), memlock)


def _effective() -> int:
    """This thread's effective capabilities as bits; 0 where the kernel does not tell."""
    try:
        status = Path("/proc/thread-self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    except (OSError, ValueError, StopIteration):
        return 0
