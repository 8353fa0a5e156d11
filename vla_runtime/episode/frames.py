"""Logged camera frames, found by camera and seq, read from the file when they are asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from google.protobuf.message import DecodeError

from vla_runtime.core.errors import LogError
from vla_runtime.core.types import U8, Frame
from vla_runtime.episode.images import SCHEMA_NAMES, image_payload
from vla_runtime.wire.frames import WIRE_VERSION, FrameMessage, pixels_of

__all__ = ["FrameIndex", "LoggedFrame", "Place"]

_SEQ_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies: ``data`` if it is in memory, else ``length`` bytes at ``offset`` of the file."""

    camera: str
    seq: int
    capture_ns: int
    log_ns: int
    encoding: Literal["jpeg", "raw"]
    height: int
    width: int
    offset: int
    length: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LoggedFrame:
    """One frame as it came over the wire: ``payload`` is still encoded. ``log_ns``: when it was written."""

    camera: str
    seq: int
    capture_ns: int
    log_ns: int
    encoding: Literal["jpeg", "raw"]
    height: int
    width: int
    payload: bytes

    def pixels(self) -> U8:
        """The decoded image, u8[H, W, 3] RGB; raises MalformedMessage."""
        return pixels_of(self.message())

    def frame(self) -> Frame:
        """The core record; raises MalformedMessage."""
        return Frame(self.pixels(), self.capture_ns, self.seq)

    def message(self, sent_ns: int | None = None) -> FrameMessage:
        """The wire message; the sender's clock was not kept, ``sent_ns`` stands for it (default: ``log_ns``)."""
        return FrameMessage(
            WIRE_VERSION, self.camera, self.seq, self.capture_ns, self.log_ns if sent_ns is None else sent_ns,
            self.encoding, self.height, self.width, self.payload, zlib.crc32(self.payload),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of the episode at ``path``, in the order of the file."""

    path: Path
    places: list[Place] = field(default_factory=list)
    _by_seq: dict[tuple[str, int], Place] = field(default_factory=dict)

    def add(self, place: Place) -> None:
        """Enter one more frame. Where a camera began to count anew, the later frame has the seq."""
        self.places.append(place)
        self._by_seq[place.camera, place.seq] = place

    def cameras(self) -> tuple[str, ...]:
        """The cameras that have a frame."""
        return tuple(sorted({place.camera for place in self.places}))

    def find(self, camera: str, seq: int) -> LoggedFrame:
        """The frame ``seq`` of ``camera``; raises LogError if it was not logged or cannot be read."""
        place = self._by_seq.get((camera, seq & _SEQ_BITS))
        if place is None:
            known = ", ".join(self.cameras()) or "none"
            raise LogError(f"{self.path} has no frame {seq} of camera {camera!r}; cameras with frames: {known}")
        return self._read(place, seq)

    def of(self, camera: str) -> Iterator[LoggedFrame]:
        """All frames of ``camera``, one at a time."""
        return (self._read(place, place.seq) for place in self.places if place.camera == camera)

    def _read(self, place: Place, seq: int) -> LoggedFrame:
        try:
            data = place.data
            if data is None:
                with self.path.open("rb") as file:
                    file.seek(place.offset)
                    data = file.read(place.length)
            payload = image_payload(SCHEMA_NAMES[place.encoding], data)
        except OSError as error:
            raise LogError(f"{self.path} cannot be read: {error.strerror}") from error
        except DecodeError as error:
            raise LogError(f"{self.path}: frame {seq} of camera {place.camera!r} is damaged: {error}") from error
        return LoggedFrame(
            place.camera, seq, place.capture_ns, place.log_ns, place.encoding, place.height, place.width, payload
        )
