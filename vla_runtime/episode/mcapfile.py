"""An MCAP file that is only ever appended to, straight to the operating system."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mcap.writer import CompressionType, Writer

from vla_runtime.core.errors import LogError
from vla_runtime.episode.indexes import pack_indexes

__all__ = ["CHUNK_BYTES", "McapFile"]

CHUNK_BYTES = 256 * 1024


class McapFile:
    """A new file at ``path`` (mode 0644, never an existing one). mcap's calls are on ``writer``.

    Nothing is buffered but the open chunk: once ``push`` returned, only the machine's death loses what was written.
    Any call on ``writer`` may raise OSError; the file is then whole up to some record and cut after it.

    Raises:
        LogError: the name does not end in .mcap, the file exists, or it cannot be created.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".mcap":
            raise LogError(f"{path}: an episode's name must end in .mcap")
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise LogError(f"{path} exists; episodes are never overwritten") from None
        except OSError as error:
            raise LogError(f"{path} cannot be created: {error.strerror}") from error
        self.size = 0
        self.writer = Writer(self, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)  # type: ignore[arg-type]
        pack_indexes(self.writer)
        self._close_chunk = chunk_closer(self.writer)

    def push(self) -> None:
        """End the open chunk, so that everything so far is in the file."""
        self._close_chunk()

    def finish(self) -> None:
        """Write the summary. The file must still be closed."""
        self.writer.finish()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the file as it is; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write(self, data: bytes) -> int:
        """The writer's output: all of ``data``, or OSError."""
        rest = memoryview(data)
        while rest:
            written = os.write(self._fd, rest)
            self.size += written
            rest = rest[written:]
        return len(data)

    def tell(self) -> int:
        """Bytes in the file."""
        return self.size

    def flush(self) -> None:
        """Nothing is held back."""


def chunk_closer(writer: Writer) -> Callable[[], None]:
    """The call that ends the open chunk: ``flush`` since mcap 1.5, a private method before."""
    closer: Callable[[], None] | None = getattr(writer, "flush", None) or getattr(
        writer, "_Writer__finalize_chunk", None
    )
    if closer is None:
        raise LogError("this version of mcap cannot end a chunk early; expected mcap >= 1.1, < 2")
    return closer
