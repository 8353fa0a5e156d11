"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_runtime.core.errors import PolicyFileError

__all__ = ["check_target", "replacing", "sync"]


def check_target(path: Path) -> None:
    """Refuse a target that can never be written, before any work is spent on it.

    Raises:
        PolicyFileError: the directory is missing or not writable, or ``path`` is a directory.
    """
    folder = path.parent
    if not folder.is_dir():
        raise PolicyFileError(f"cannot write {path}: the directory {folder} does not exist")
    if path.is_dir():
        raise PolicyFileError(f"cannot write {path}: it is a directory, expected the name of a file")
    if not os.access(folder, os.W_OK):
        raise PolicyFileError(f"cannot write {path}: the directory {folder} is not writable")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed onto it on success and removed on any failure, Ctrl-C included."""
    check_target(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until ``path`` is on the disk: a file's bytes, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
