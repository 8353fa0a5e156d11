"""Writes episodes as a run does, with pictures, states and chunks that can be told apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import ActionSpec, CameraSpec, Normalisation, PolicySpec, StateSpec
from vla_runtime.core.types import ActionChunk, Frame, PlannerStatus, PlanRequest, RobotState, Tick
from vla_runtime.episode.log import EpisodeLog
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import decode_frame, encode_frame

MS = 1_000_000
TEXTS = ("go left", "go right")
CONFIG = {"name": "bench", "joints": [{"name": "lift"}, {"name": "turn"}], "extras": ["force"], "cameras": []}


def spec(**changes: object) -> PolicySpec:
    """Two joints (m and rad), a state of three, cameras of different sizes, chunks of three rows."""
    made = PolicySpec(
        name="expert-sort",
        chunk_length=3,
        dt_ns=50 * MS,
        actions=(ActionSpec("lift", "m", 0.0, 1.0), ActionSpec("turn", "rad", -3.0, 3.0)),
        state=(StateSpec("turn.position", "rad"), StateSpec("force", "none"), StateSpec("lift.position", "m")),
        cameras=(CameraSpec("front", 12, 20), CameraSpec("wrist", 9, 7)),
        instruction=InstructionEncoding("table", 2, TEXTS),
        head="continuous",
        normalisation=Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, (1.0,) * 2),
    )
    return msgspec.structs.replace(made, **changes)


def picture(camera: CameraSpec, value: int) -> Frame:
    """A plain image, so that JPEG keeps its colour; ``value`` is its seq too."""
    pixels = np.full((camera.height, camera.width, 3), value % 256, np.uint8)
    return Frame(pixels, value * MS, value)


def state(value: float) -> RobotState:
    return RobotState(np.array([value, 10 + value]), None, int(value) * MS, int(value), np.array([20 + value]))


def chunk(number: int, contract: PolicySpec) -> ActionChunk:
    rows = number + 0.1 * np.arange(contract.chunk_length)[:, None] + np.arange(len(contract.actions))
    frames = {camera.name: number for camera in contract.cameras}
    return ActionChunk(rows.astype(np.float32), number * MS, contract.dt_ns, number, number, "hash", frames)


def write_episode(
    path: Path,
    numbers: Sequence[int] = (1, 2, 3),
    *,
    contract: PolicySpec | None = None,
    instruction: str = TEXTS[0],
    metadata: Mapping[str, str] | None = None,
    change: Callable[[ActionChunk], ActionChunk] = lambda made: made,
    ask: Callable[[int], bool] = lambda number: True,
    state_of: Callable[[int], RobotState] = state,
    picture_of: Callable[[CameraSpec, int], Frame] = picture,
    whole: bool = True,
) -> Path:
    """An episode with the samples ``numbers``: image, state and chunk of each carry its number.

    ``change`` alters a chunk before it is logged, ``ask`` says whether its request is; ``whole``: end the file.
    """
    contract = spec() if contract is None else contract
    about = {"spec": contract.to_json().decode(), "config": json.dumps(CONFIG), "instruction": instruction}
    writer = EpisodeWriter(path, about | dict(metadata or {}))
    log = EpisodeLog(writer)
    for index, number in enumerate(numbers):
        if ask(number):
            log.request(index, PlanRequest(number, number * MS, state_of(number), instruction))
        for camera in contract.cameras:
            wire = encode_frame(camera.name, picture_of(camera, number), 0, quality=95)
            writer.frame(decode_frame(wire, camera.name), number * MS)
        log.chunk(index, change(chunk(number, contract)), "past" if number % 2 else "")
        log.tick(
            Tick(index, number * MS, "running", "", "", 0, PlannerStatus(True), number, number, None, None, (), 0, 0)
        )
        writer.flush()
    if whole:
        writer.close()
    return path
