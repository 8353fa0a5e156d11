"""The work of an evaluation's processes: device and policy are opened once, then each job is an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import msgspec

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.evaluate.result import result_of
from vla_runtime.app.evaluate.trace import Trace
from vla_runtime.app.simulate import (
    Scenario,
    expert_for,
    instructions_of,
    open_demonstrator,
    open_policy,
    simulate,
)

__all__ = ["EXPERT_CHUNK", "Job", "Setup", "open_work"]

EXPERT_CHUNK = 16
"""Rows of the expert's chunks."""


class Setup(msgspec.Struct, frozen=True):
    """What is the same in all episodes. Logs are written in ``drafts`` and moved to ``logs`` when whole."""

    config: RobotConfig
    task: str
    expert: bool
    logs: str = ""
    drafts: str = ""


class Job(msgspec.Struct, frozen=True):
    """One episode, and the name of its file ("" for none)."""

    scenario: Scenario
    log: str = ""


@contextmanager
def open_work(setup: bytes) -> Iterator[Callable[[bytes], bytes]]:
    """For ``simulate.pool``: from a ``Setup`` to a function from ``Job`` to ``EpisodeResult``, all as JSON."""
    given = msgspec.json.decode(setup, type=Setup)
    config = given.config
    units = [joint.unit for joint in config.joints]
    with closing(open_demonstrator(config)) as device:
        instructions = instructions_of(device, given.task)
        if given.expert:
            opened = nullcontext(expert_for(config, given.task, instructions, EXPERT_CHUNK))
        else:
            opened = closing(open_policy(config, instructions))  # type: ignore[assignment]
        with opened as policy:

            def work(job: bytes) -> bytes:
                episode = msgspec.json.decode(job, type=Job)
                trace = Trace()
                draft = Path(given.drafts) / episode.log if episode.log else None
                outcome = simulate(config, device, policy, episode.scenario, watch=[trace], log=draft)
                final = None
                if draft is not None:
                    final = str(draft.replace(Path(given.logs) / episode.log))
                result = result_of(episode.scenario, outcome, trace, units, config.period_ns * 1e-9, final)
                return msgspec.json.encode(result)

            yield work
