"""A file's chunk indexes in little memory. A recorder ends four chunks a second, and keeps all of their indexes.

As objects they take about a kilobyte each: fifteen megabytes an hour.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from mcap.records import ChunkIndex
from mcap.writer import Writer

__all__ = ["PackedIndexes", "pack_indexes"]

_LIST = "_Writer__chunk_indices"
_FIXED = 9
"""Numbers of an index beside two for each channel in its chunk."""


class PackedIndexes:
    """Takes indexes as a list does, and gives them back in order, equal to what they were."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._compressions: dict[str, int] = {}

    def append(self, index: ChunkIndex) -> None:
        compression = self._compressions.setdefault(index.compression, len(self._compressions))
        self._numbers.extend(
            (
                len(index.message_index_offsets), compression, index.message_start_time, index.message_end_time,
                index.chunk_start_offset, index.chunk_length, index.compressed_size, index.uncompressed_size,
                index.message_index_length,
            )
        )  # fmt: skip
        for channel, offset in index.message_index_offsets.items():
            self._numbers.extend((channel, offset))

    def __iter__(self) -> Iterator[ChunkIndex]:
        compressions, numbers, at = list(self._compressions), self._numbers, 0
        while at < len(numbers):
            count, compression, start, end, offset, length, compressed, uncompressed, size = numbers[at : at + _FIXED]
            at += _FIXED
            offsets = numbers[at : at + 2 * count]
            at += 2 * count
            yield ChunkIndex(
                chunk_length=length, chunk_start_offset=offset, compression=compressions[compression],
                compressed_size=compressed, message_end_time=end, message_index_length=size,
                message_index_offsets=dict(zip(offsets[::2], offsets[1::2], strict=True)),
                message_start_time=start, uncompressed_size=uncompressed,
            )  # fmt: skip


def pack_indexes(writer: Writer) -> None:
    """Have ``writer``, which has written nothing yet, keep its indexes packed; another mcap keeps them as it does."""
    if getattr(writer, _LIST, None) == []:
        setattr(writer, _LIST, PackedIndexes())
