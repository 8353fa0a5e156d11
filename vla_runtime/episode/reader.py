"""Reads an episode: all records exactly, frames on demand, a cut file up to its last whole record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from mcap.opcode import Opcode
from mcap.records import Channel, Metadata

from vla_runtime.core.errors import LogError
from vla_runtime.core.types import ActionChunk, PlanRequest, RobotState, Tick
from vla_runtime.episode.frames import FrameIndex, LoggedFrame, Place
from vla_runtime.episode.mapping import mapped
from vla_runtime.episode.metrics import MetricsPayload, decode_metrics
from vla_runtime.episode.names import END, METADATA
from vla_runtime.episode.scan import DAMAGE, MESSAGE_HEADER, Record, Scan, parse
from vla_runtime.episode.schema import (
    CAMERA,
    CHUNK,
    METRICS,
    MODE,
    REQUEST,
    STATE,
    TICK,
    ModeChange,
    decode_chunk,
    decode_mode,
    decode_request,
    decode_state,
    decode_tick,
)

__all__ = ["Episode", "read_episode"]


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode. The ``*_by_tick`` records were seen by the pass with that index, in the order given.

    ``metrics``: one a second, and one at the end; none in virtual time. ``ended``: the counts a finished file ends
    with, empty for a cut one. ``truncated``: the file lacks its end. ``note``: what was found, for people.
    """

    path: Path
    metadata: Mapping[str, str]
    ended: Mapping[str, str]
    ticks: Sequence[Tick]
    states_by_tick: Mapping[int, Sequence[RobotState]]
    requests_by_tick: Mapping[int, Sequence[PlanRequest]]
    chunks_by_tick: Mapping[int, Sequence[tuple[ActionChunk, str]]]
    modes: Sequence[ModeChange]
    metrics: Sequence[MetricsPayload]
    index: FrameIndex
    truncated: bool
    note: str

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that have a frame in the file."""
        return self.index.cameras()

    def frame(self, camera: str, seq: int) -> LoggedFrame:
        """The frame ``seq`` of ``camera``; raises LogError if it was not logged."""
        return self.index.find(camera, seq)

    def frames(self, camera: str) -> Iterator[LoggedFrame]:
        """All frames of ``camera`` in the order they were logged, read one at a time."""
        return self.index.of(camera)

    @property
    def dropped(self) -> int | None:
        """Records that were counted but could not be written; None if the file was not finished."""
        counts = [self.ended.get(name, "") for name in ("dropped", "dropped_before")]
        return sum(map(int, counts)) if all(count.isdecimal() for count in counts) else None

    def missing_ticks(self) -> list[int]:
        """The indices between the first and the last tick that are not in the file."""
        if not self.ticks:
            return []
        present = {tick.index for tick in self.ticks}
        return [index for index in range(min(present), max(present) + 1) if index not in present]


def read_episode(path: Path) -> Episode:
    """Read the episode at ``path``.

    Raises:
        LogError: it cannot be read, is no MCAP file, or holds no metadata of this runtime.
    """
    loading = _Loading(path)
    with mapped(path) as buffer:
        try:
            scan = Scan(buffer)
        except LogError as error:
            raise LogError(f"{path}: {error}") from None
        for record in scan.records():
            loading.take(record)
    return loading.episode(scan)


class _Loading:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._channels: dict[int, Channel] = {}
        self._metadata: dict[str, dict[str, str]] = {}
        self._ticks: list[Tick] = []
        self._states: dict[int, list[RobotState]] = {}
        self._requests: dict[int, list[PlanRequest]] = {}
        self._chunks: dict[int, list[tuple[ActionChunk, str]]] = {}
        self._modes: list[ModeChange] = []
        self._metrics: list[MetricsPayload] = []
        self._frames = FrameIndex(path)
        self._damaged = 0

    def take(self, record: Record) -> None:
        """Enter one record; one that cannot be decoded is counted."""
        try:
            self._enter(record)
        except (*DAMAGE, msgspec.MsgspecError):
            self._damaged += 1

    def _enter(self, record: Record) -> None:
        if record.opcode == Opcode.MESSAGE:
            self._message(record)
        elif record.opcode == Opcode.CHANNEL:
            channel = parse(record, Channel)
            self._channels[channel.id] = channel
        elif record.opcode == Opcode.METADATA:
            metadata = parse(record, Metadata)
            self._metadata[metadata.name] = metadata.metadata

    def _message(self, record: Record) -> None:
        header = MESSAGE_HEADER.unpack_from(record.buffer, record.start)
        channel = self._channels.get(header[0])
        if channel is None:
            raise ValueError(f"a message of the unknown channel {header[0]}")
        start, end, topic = record.start + MESSAGE_HEADER.size, record.end, channel.topic
        if end < start:
            raise ValueError("a message shorter than its header")
        if topic.startswith(CAMERA):
            self._frame(record, channel, header, start)
            return
        payload = record.buffer[start:end]
        if topic == TICK:
            self._ticks.append(decode_tick(payload))
        elif topic == STATE:
            tick, state = decode_state(payload)
            self._states.setdefault(tick, []).append(state)
        elif topic == REQUEST:
            tick, request = decode_request(payload)
            self._requests.setdefault(tick, []).append(request)
        elif topic == CHUNK:
            tick, chunk, refusal = decode_chunk(payload)
            self._chunks.setdefault(tick, []).append((chunk, refusal))
        elif topic == MODE:
            self._modes.append(decode_mode(payload))
        elif topic == METRICS:
            self._metrics.append(decode_metrics(payload))

    def _frame(self, record: Record, channel: Channel, header: tuple[int, int, int, int], start: int) -> None:
        _, seq, log_ns, capture_ns = header
        about = {"camera": "", "encoding": "", "height": "", "width": ""} | channel.metadata
        encoding, data = about["encoding"], None if record.in_file else record.buffer[start : record.end]
        if encoding not in ("jpeg", "raw"):
            raise ValueError(f"a frame in encoding {encoding!r}")
        self._frames.add(
            Place(
                about["camera"], seq, capture_ns, log_ns, "jpeg" if encoding == "jpeg" else "raw",
                int(about["height"]), int(about["width"]), start, record.end - start, data,
            )
        )  # fmt: skip

    def episode(self, scan: Scan) -> Episode:
        """What was found; raises LogError if it is no episode."""
        if METADATA not in self._metadata:
            found = "; ".join(scan.notes) or "the file is whole"
            raise LogError(
                f"{self._path} holds no {METADATA!r} metadata, so it is no episode of this runtime ({found})"
            )
        notes = [f"{len(self._ticks)} ticks and {len(self._frames.places)} frames, the last whole record ends at "
                 f"byte {scan.end}", *scan.notes]  # fmt: skip
        if self._damaged:
            notes.append(f"{self._damaged} records could not be decoded")
        return Episode(
            self._path, self._metadata[METADATA], self._metadata.get(END, {}), self._ticks, self._states,
            self._requests, self._chunks, self._modes, self._metrics, self._frames, not scan.whole, "; ".join(notes),
        )  # fmt: skip
