"""Where processes meet: one directory for robots that are served apart, one for each run's own sockets."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vla_runtime.wire.sockets import private_directory

__all__ = ["run_directory", "runtime_directory"]

_PREFIX = "vla-run-"
_LOCK = "lock"


def runtime_directory(robot: str) -> Path:
    """Where a ``vla-host`` and a ``vla-run`` that were started apart meet: private, one per user and robot.

    Raises:
        Refusal: someone else has made it, or it is open to others: they could command the robot.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    root = Path(base) / "vla-runtime" if base else Path(tempfile.gettempdir()) / f"vla-runtime-{os.getuid()}"
    return private_directory(private_directory(root) / robot)


@contextmanager
def run_directory() -> Iterator[Path]:
    """A private directory for one run, gone afterwards. Those that killed runs have left are removed first."""
    _sweep()
    path, lock = _locked_directory()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked_directory() -> tuple[Path, int]:
    """A new directory and the open lock that says that its run lives; the kernel drops it with the process."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(OSError):  # swept in the instant before it was locked
            lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            if _lock(lock) and (path / _LOCK).exists():
                return path, lock
            os.close(lock)


def _sweep() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # someone else's, or just removed
            if path.stat().st_uid != os.getuid():
                continue
            lock = os.open(path / _LOCK, os.O_RDWR)
            try:
                if _lock(lock):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
