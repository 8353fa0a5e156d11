"""A file as bytes that are fetched when they are looked at."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_runtime.core.errors import LogError

__all__ = ["mapped"]


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of ``path``, read-only.

    Raises:
        LogError: the file cannot be opened or is empty.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise LogError(f"{path} is empty")
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror}") from error
    with view:
        yield view
