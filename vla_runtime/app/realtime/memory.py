"""Memory that the kernel may not take away: a page that has to come back from disk costs milliseconds."""

from __future__ import annotations

import ctypes
import os

from vla_runtime.app.realtime.rights import rights

__all__ = ["lock_memory", "unlock_memory"]

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def lock_memory() -> str:
    """Lock every page that this process has used and will use; "" when done, else why not.

    Pages that it never touches (thread stacks, most of what libraries bring) are not fetched for it: that would take
    five times the memory.
    """
    limit = rights().memlock
    if limit is not None:
        # Under a limit it may succeed now, and then allocations fail in the middle of a run.
        return f"locked memory: the limit is {limit >> 10} KiB, it must be unlimited (RLIMIT_MEMLOCK)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT):
        return f"locked memory: {os.strerror(ctypes.get_errno())}"
    return ""


def unlock_memory() -> None:
    """Undo ``lock_memory``."""
    ctypes.CDLL(None).munlockall()
