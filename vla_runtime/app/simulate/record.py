"""A virtual episode's log: the same file as a live one's, but for the wall time. Equal episodes give equal bytes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vla_runtime import __version__
from vla_runtime.app.config import LogConfig, RobotConfig
from vla_runtime.core.errors import LogError
from vla_runtime.core.protocols import Camera, Recorder
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import ActionChunk, Observation, PlanRequest, RobotState, Tick
from vla_runtime.episode.log import EpisodeLog
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import decode_frame

__all__ = ["Several", "VirtualLog", "virtual_metadata"]


class VirtualLog:
    """Writes one episode to ``path`` in this process: ``recorder`` is the loop's, ``looked`` the planner's.

    A context manager: whatever happens, the file is closed.

    Args:
        others: cameras that the planner does not look through; their newest frames are logged beside the ones it does.

    Raises:
        LogError: the file exists or cannot be created.
    """

    def __init__(self, path: Path, metadata: dict[str, str], others: Sequence[Camera] = ()) -> None:
        self._writer = EpisodeWriter(path, metadata)
        self._others = tuple(others)
        self.recorder: Recorder = EpisodeLog(self._writer)

    def looked(self, observation: Observation, now_ns: int) -> None:
        """Keep the frames that were looked at, each once, and the newest of the other cameras."""
        others = {camera.name: frame for camera in self._others if (frame := camera.latest()) is not None}
        for name, frame in {**others, **observation.images}.items():
            self._writer.frame(decode_frame(frame.wire, name), now_ns)

    def finish(self) -> int:
        """End the file; its size in bytes.

        Raises:
            LogError: it could not be written to its end, or lacks a record.
        """
        self._writer.close(closed_by="request", dropped_before="0", malformed="0")
        if self._writer.error or self._writer.dropped:
            raise LogError(self._writer.error or f"{self._writer.path} lacks {self._writer.dropped} records")
        return self._writer.size

    def __enter__(self) -> VirtualLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close(closed_by="error")  # nothing, if it is finished


class Several:
    """Tells each of ``recorders``."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        for recorder in self._recorders:
            recorder.states(tick, states)

    def request(self, tick: int, request: PlanRequest) -> None:
        for recorder in self._recorders:
            recorder.request(tick, request)

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        for recorder in self._recorders:
            recorder.chunk(tick, chunk, refusal)

    def tick(self, tick: Tick) -> None:
        for recorder in self._recorders:
            recorder.tick(tick)


def virtual_metadata(
    config: RobotConfig, spec: PolicySpec, policy_hash: str, instruction: str, seed: int, start_ns: int
) -> dict[str, str]:
    """As ``vla-run`` writes it, without what depends on the place or the time: paths and wall time."""
    config = msgspec.structs.replace(
        config,
        policy=msgspec.structs.replace(config.policy, file=Path(config.policy.file).name),
        log=LogConfig(directory=""),
    )
    return {
        "config": msgspec.json.encode(config).decode(),
        "spec": spec.to_json().decode(),
        "policy_hash": policy_hash,
        "instruction": instruction,
        "episode": "0",
        "seed": str(seed),
        "start_ns": str(start_ns),
        "first_request": "0",
        "wall_time": "",
        "clocks": "{}",
        "vla_runtime": __version__,
        "python": platform.python_version(),
    }
