"""Writes one episode. After the file was created nothing here raises: a full disk ends the log, never the run."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from vla_runtime.episode.images import SCHEMA_NAMES, descriptor_set, image_bytes
from vla_runtime.episode.jsonschema import PAYLOADS, json_schema
from vla_runtime.episode.mcapfile import McapFile
from vla_runtime.episode.names import END, METADATA
from vla_runtime.episode.schema import CAMERA
from vla_runtime.wire.frames import FrameMessage

__all__ = ["EpisodeWriter"]

_U32, _U64 = 2**32 - 1, 2**64 - 1
_REMEMBERED_FRAMES = 256
_MOST_CHANNELS = 1024  # a camera that changes its name or size with every frame must not use up the file's ids


class EpisodeWriter:
    """One MCAP file at ``path``; ``metadata`` is its first record.

    ``messages``, ``frames`` and ``dropped`` count; ``error`` is "" until writing failed.

    Raises:
        LogError: the file exists already or cannot be created.
    """

    def __init__(self, path: Path, metadata: dict[str, str]) -> None:
        self.path = path
        self.messages = 0
        self.frames = 0
        self.dropped = 0
        self.error = ""
        self._closed = False
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, ...], int] = {}
        self._sequence: dict[int, int] = {}
        self._recent: deque[tuple[str, int, int]] = deque(maxlen=_REMEMBERED_FRAMES)
        self._file = McapFile(path)
        try:
            self._file.writer.start(profile="", library="vla-runtime")
            self._file.writer.add_metadata(METADATA, metadata)
        except OSError as error:
            self._fail(error)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def put(self, topic: str, log_ns: int, publish_ns: int, payload: bytes) -> None:
        """Add a JSON payload of ``schema.py``; one of an unknown topic, or after an error, is counted as dropped."""
        if topic not in PAYLOADS or self._closed or self.error:
            self.dropped += 1
            return
        try:
            channel = self._json_channel(topic)
            sequence = self._sequence[channel] = self._sequence.get(channel, -1) + 1
            self._file.writer.add_message(channel, _u64(log_ns), payload, _u64(publish_ns), sequence & _U32)
            self.messages += 1
        except OSError as error:
            self._fail(error)

    def drop(self) -> None:
        """Count a record that could not even be encoded."""
        self.dropped += 1

    def frame(self, frame: FrameMessage, log_ns: int) -> None:
        """Add a checked camera frame, unless it was added a moment ago: several chunks may look at one frame.

        The message's sequence number is the frame's ``seq`` modulo 2**32.
        """
        key = (frame.camera, frame.seq, frame.capture_ns)
        if key in self._recent:
            return
        if self._closed or self.error or not frame.camera or len(self._channels) >= _MOST_CHANNELS:
            self.dropped += 1
            return
        try:
            channel = self._frame_channel(frame)
            data = image_bytes(frame)
            self._file.writer.add_message(channel, _u64(log_ns), data, _u64(frame.capture_ns), frame.seq & _U32)
            self._recent.append(key)
            self.messages += 1
            self.frames += 1
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Put everything so far into the file, where it outlives this process."""
        if self._closed or self.error:
            return
        try:
            self._file.push()
        except OSError as error:
            self._fail(error)

    def close(self, **end: str) -> None:
        """Write ``end`` and the counts as the last metadata, then the summary; twice does no harm."""
        if self._closed:
            return
        if not self.error:
            counts = {"messages": str(self.messages), "frames": str(self.frames), "dropped": str(self.dropped)}
            counts["dropped_before"] = "0"
            try:
                self._file.push()
                self._file.writer.add_metadata(END, counts | end)
                self._file.finish()
            except OSError as error:
                self._fail(error)
        self._closed = True
        self._file.close()

    def _fail(self, error: OSError) -> None:
        """Remember why, and write nothing after the record that was cut."""
        self.error = f"{self.path} ends after {self._file.size} bytes: {error.strerror}"
        self.dropped += 1

    def _json_channel(self, topic: str) -> int:
        key = (topic,)
        if key not in self._channels:
            name, _ = PAYLOADS[topic]
            schema = self._schema(name, "jsonschema", json_schema(topic))
            self._channels[key] = self._file.writer.register_channel(topic, "json", schema)
        return self._channels[key]

    def _frame_channel(self, frame: FrameMessage) -> int:
        """One channel for each camera; another if it changes size or encoding."""
        key = (frame.camera, frame.encoding, str(frame.height), str(frame.width))
        if key not in self._channels:
            schema = self._schema(SCHEMA_NAMES[frame.encoding], "protobuf", descriptor_set(frame.encoding))
            about = {"camera": key[0], "encoding": key[1], "height": key[2], "width": key[3]}
            self._channels[key] = self._file.writer.register_channel(CAMERA + frame.camera, "protobuf", schema, about)
        return self._channels[key]

    def _schema(self, name: str, encoding: str, data: bytes) -> int:
        if name not in self._schemas:
            self._schemas[name] = self._file.writer.register_schema(name, encoding, data)
        return self._schemas[name]


def _u64(value: int) -> int:
    """A stamp as the file can hold it; the payload keeps the exact one."""
    return min(max(value, 0), _U64)
