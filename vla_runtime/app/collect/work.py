"""The work of a collection's processes: the device is opened once, then each job is an episode and its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.simulate import Scenario, expert_for, instructions_of, open_demonstrator, simulate

__all__ = ["Collected", "Job", "Setup", "open_work"]


class Setup(msgspec.Struct, frozen=True):
    """What is the same in all episodes. Files are written in ``drafts`` and moved to ``out`` when whole."""

    config: RobotConfig
    task: str
    chunk_length: int
    out: str
    drafts: str
    keep_failures: bool


class Job(msgspec.Struct, frozen=True):
    """One episode, and the name of its file."""

    scenario: Scenario
    name: str


class Collected(msgspec.Struct, frozen=True):
    """What became of an episode. ``kept``: its file is there, ``bytes`` long; else it is not and ``bytes`` is 0."""

    seed: int
    instruction: str
    success: bool
    kept: bool
    cause: str
    seconds: float
    chunks: int
    bytes: int


@contextmanager
def open_work(setup: bytes) -> Iterator[Callable[[bytes], bytes]]:
    """For ``simulate.pool``: from a ``Setup`` to a function from ``Job`` to ``Collected``, all as JSON."""
    given = msgspec.json.decode(setup, type=Setup)
    config = given.config
    with closing(open_demonstrator(config)) as device:
        expert = expert_for(config, given.task, instructions_of(device, given.task), given.chunk_length)

        def work(job: bytes) -> bytes:
            episode = msgspec.json.decode(job, type=Job)
            draft, final = Path(given.drafts) / episode.name, Path(given.out) / episode.name
            outcome = simulate(config, device, expert, episode.scenario, log=draft)
            kept = outcome.success or given.keep_failures
            if kept:
                draft.replace(final)
            else:
                draft.unlink()
                final.unlink(missing_ok=True)  # of an earlier collection that is being overwritten
            return msgspec.json.encode(
                Collected(
                    seed=episode.scenario.seed,
                    instruction=episode.scenario.instruction,
                    success=outcome.success,
                    kept=kept,
                    cause=outcome.cause.text,
                    seconds=(outcome.end_ns - outcome.start_ns) / 1e9,
                    chunks=outcome.metrics.chunks_used,
                    bytes=outcome.log_bytes if kept else 0,
                )
            )

        yield work
