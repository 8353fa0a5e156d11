"""A linear scan over an MCAP file that stops at nothing: a cut file yields every record that is whole.

mcap's own seeking reader needs the summary at the end, and its streaming reader loses a partial chunk.
Format: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from typing import TypeVar

from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Metadata, Schema
from mcap.stream_reader import get_chunk_data_stream
from mcap.writer import MCAP0_MAGIC

from vla_runtime.core.errors import LogError

__all__ = ["DAMAGE", "MESSAGE_HEADER", "Record", "Scan", "parse"]

DAMAGE = (struct.error, UnicodeDecodeError, EndOfFile, ValueError)
"""What parsing a damaged record may raise."""
MESSAGE_HEADER = struct.Struct("<HIQQ")
"""channel id, sequence, log time, publish time; the payload follows."""

_RECORD = struct.Struct("<BQ")
_CHUNK = struct.Struct("<QQQII")
_U64 = struct.Struct("<Q")
_OPCODES = frozenset(int(code) for code in Opcode)
_IN_CHUNK = frozenset({int(Opcode.SCHEMA), int(Opcode.CHANNEL), int(Opcode.MESSAGE)})
_Parsed = TypeVar("_Parsed", Schema, Channel, Metadata)


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record: its content is ``buffer[start:end]``. ``in_file``: buffer offsets are file offsets."""

    opcode: int
    buffer: mmap | bytes
    start: int
    end: int
    in_file: bool

    @property
    def content(self) -> bytes:
        """A copy of the content."""
        return self.buffer[self.start : self.end]


def parse(record: Record, kind: type[_Parsed]) -> _Parsed:
    """A schema, channel or metadata record; raises one of ``DAMAGE``."""
    parsed: _Parsed = kind.read(ReadDataStream(BytesIO(record.content)))
    return parsed


class Scan:
    """Iterate ``records()``, then read what was found.

    ``end``: file offset after the last whole record. ``whole``: the file has its footer and closing magic.
    ``notes``: what was wrong, in the order of the file.

    Raises:
        LogError: the buffer does not begin as an MCAP file does.
    """

    def __init__(self, buffer: mmap | bytes) -> None:
        magic = buffer[: len(MCAP0_MAGIC)]
        if magic != MCAP0_MAGIC:
            if MCAP0_MAGIC.startswith(magic):
                raise LogError(f"cut after {len(magic)} bytes, before anything was recorded")
            raise LogError(f"no MCAP file: begins with {magic!r}, expected {MCAP0_MAGIC!r}")
        self._buffer = buffer
        self._size = len(buffer)
        self.end = len(magic)
        self.whole = False
        self.notes: list[str] = []

    def records(self) -> Iterator[Record]:
        """Every whole record, those inside chunks too; chunk, index and summary bookkeeping is left out."""
        while not self.whole:
            at = self.end
            if at + _RECORD.size > self._size:
                self.notes.append(f"the file ends at byte {self._size} without a footer")
                return
            opcode, length = _RECORD.unpack_from(self._buffer, at)
            start, end = at + _RECORD.size, at + _RECORD.size + length
            if opcode == Opcode.CHUNK:
                yield from self._chunk(start, min(end, self._size), cut=end > self._size)
            if opcode not in _OPCODES or end > self._size:
                what = "the chunk is cut" if opcode == Opcode.CHUNK else "no whole record"
                self.notes.append(f"{what} at byte {at}")
                return
            self.end = end
            if opcode == Opcode.FOOTER:
                self._finish()
                return
            if opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.METADATA):
                yield Record(opcode, self._buffer, start, end, in_file=True)

    def _finish(self) -> None:
        closing = self._buffer[self.end : self.end + len(MCAP0_MAGIC)]
        self.whole = closing == MCAP0_MAGIC
        if not self.whole:
            self.notes.append("the closing magic is cut")
            return
        self.end += len(closing)
        if self.end < self._size:
            self.notes.append(f"{self._size - self.end} foreign bytes follow the end at byte {self.end}")

    def _chunk(self, start: int, stop: int, cut: bool) -> Iterator[Record]:
        """The whole records of the chunk whose content is ``[start, stop)``."""
        if start + _CHUNK.size > stop:
            return
        _, _, size, crc, name_length = _CHUNK.unpack_from(self._buffer, start)
        after_name = start + _CHUNK.size + name_length
        if after_name + _U64.size > stop:
            return
        compression = self._buffer[start + _CHUNK.size : after_name]
        data = after_name + _U64.size
        (length,) = _U64.unpack_from(self._buffer, after_name)
        if compression:
            unpacked = b"" if cut else self._unpack(start, stop)
            yield from self._inside(unpacked, 0, len(unpacked), in_file=False)
            return
        data_end = min(data + length, stop)
        if not cut and crc and (length != size or zlib.crc32(self._buffer[data:data_end]) != crc):
            self.notes.append(f"the chunk at byte {start - _RECORD.size} does not match its checksum")
        yield from self._inside(self._buffer, data, data_end, in_file=True)

    def _unpack(self, start: int, stop: int) -> bytes:
        try:
            chunk = Chunk.read(ReadDataStream(BytesIO(self._buffer[start:stop])))
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            return stream.read(length)
        except Exception as error:  # each compression library has its own errors
            self.notes.append(f"the chunk at byte {start - _RECORD.size} cannot be unpacked: {error}")
            return b""

    def _inside(self, buffer: mmap | bytes, at: int, stop: int, in_file: bool) -> Iterator[Record]:
        while at + _RECORD.size <= stop:
            opcode, length = _RECORD.unpack_from(buffer, at)
            start, end = at + _RECORD.size, at + _RECORD.size + length
            if opcode not in _IN_CHUNK or end > stop:
                return
            yield Record(opcode, buffer, start, end, in_file)
            at = end
            if in_file:
                self.end = at
