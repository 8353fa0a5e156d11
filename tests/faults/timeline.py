"""The modes of a run while it runs, from its log as it grows, and everything else once it is over."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from mcap.opcode import Opcode

from vla_runtime.episode.schema import MODE, decode_mode

__all__ = ["ModeAt", "Timeline"]

_MAGIC = 8
_RECORD = struct.Struct("<BQ")
_CHUNK = struct.Struct("<QQQII")
_MESSAGE = struct.Struct("<HIQQ")


@dataclass(frozen=True)
class ModeAt:
    """A mode, or another cause of the same one, and when it was entered (CLOCK_MONOTONIC)."""

    ns: int
    mode: str
    cause: str


class Timeline:
    """Reads the changes of mode that have come to the file at ``path`` since it was last asked."""

    def __init__(self, path: Path) -> None:
        """``newest_ns``: the time of the newest record known."""
        self.path = path
        self.changes: list[ModeAt] = []
        self.newest_ns = 0
        self._at = _MAGIC
        self._mode_channel = -1

    @property
    def mode(self) -> str:
        """The newest known."""
        return self.changes[-1].mode if self.changes else ""

    def poll(self) -> list[ModeAt]:
        """All changes known by now."""
        with self.path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        at = 0
        while at + _RECORD.size <= len(data):
            opcode, length = _RECORD.unpack_from(data, at)
            end = at + _RECORD.size + length
            if end > len(data):
                break
            if opcode == Opcode.CHUNK:
                self._chunk(data, at + _RECORD.size, end)
            at = end
        self._at += at
        return self.changes

    def _chunk(self, data: bytes, start: int, end: int) -> None:
        *_, name_length = _CHUNK.unpack_from(data, start)
        at = start + _CHUNK.size + name_length + 8
        while at < end:
            opcode, length = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            if opcode == Opcode.CHANNEL:
                (channel,) = struct.unpack_from("<H", data, at)
                (topic_length,) = struct.unpack_from("<I", data, at + 4)
                if data[at + 8 : at + 8 + topic_length] == MODE.encode():
                    self._mode_channel = channel
            elif opcode == Opcode.MESSAGE:
                channel, _, ns, _ = _MESSAGE.unpack_from(data, at)
                self.newest_ns = max(self.newest_ns, ns)
                if channel == self._mode_channel:
                    change = decode_mode(data[at + _MESSAGE.size : at + length])
                    self.changes.append(ModeAt(ns, change.mode, change.cause))
            at += length
