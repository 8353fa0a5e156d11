"""Records to log."""

import numpy as np

from vla_runtime.core.protocols import Recorder
from vla_runtime.core.types import (
    ActionChunk,
    CommittedChunk,
    Frame,
    Intervention,
    PlannerStatus,
    PlanRequest,
    RobotState,
    TaskStatus,
    Tick,
)
from vla_runtime.episode.log import EpisodeLog
from vla_runtime.episode.passes import PassLog
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import encode_frame

MS = 1_000_000


def tick(index: int, mode: str = "running", values: tuple[float, ...] | None = None) -> Tick:
    values = (0.1 * index, -0.0, 5e-324) if values is None else values
    return Tick(
        index, (index + 1) * 5 * MS, mode, "cause", "", index, PlannerStatus(True, 1, "why"), 3, 2, values, None,
        (Intervention("velocity", "elbow"),), 100, 200,
    )  # fmt: skip


def state(seq: int) -> RobotState:
    rng = np.random.default_rng(seq)
    return RobotState(
        rng.normal(size=3), None if seq % 2 else rng.normal(size=3), seq * 5 * MS, seq, rng.normal(size=2),
        TaskStatus(0, seq, False, True),
    )  # fmt: skip


def request(seq: int) -> PlanRequest:
    rows = np.random.default_rng(seq).normal(size=(4, 3)).astype(np.float32)
    committed = CommittedChunk(rows, seq * 6 * MS, 20 * MS, seq * 9 * MS) if seq % 2 else None
    return PlanRequest(
        seq, seq * 7 * MS, state(seq), "pick the plum", episode=2, committed=committed, takeover_ns=seq * 8 * MS
    )


def chunk(seq: int) -> ActionChunk:
    actions = np.random.default_rng(seq).normal(size=(4, 3)).astype(np.float32)
    return ActionChunk(actions, seq * 6 * MS, 20 * MS, seq, seq, "abc", {"top": seq}, delay=seq if seq % 3 else None)


def frame(seq: int, size: tuple[int, int] = (6, 8)) -> Frame:
    pixels = np.random.default_rng(seq).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Frame(pixels, seq * 30 * MS, seq)


def wire(camera: str, seq: int, encoding: str = "raw", size: tuple[int, int] = (6, 8)) -> bytes:
    return encode_frame(camera, frame(seq, size), 5, encoding)


def log_passes(sink, count: int, first: int = 0, log: Recorder | None = None) -> Recorder:
    """``count`` passes of a loop: a state each, now and then a request and a chunk, then the tick."""
    if log is None:
        log = EpisodeLog(sink) if isinstance(sink, EpisodeWriter) else PassLog(sink)
    for index in range(first, first + count):
        log.states(index, [state(index)])
        if index % 4 == 0:
            log.request(index, request(index // 4))
            log.chunk(index, chunk(index // 4), "" if index % 8 else "stale")
        log.tick(tick(index, "running" if index % 10 else "holding"))
    return log
