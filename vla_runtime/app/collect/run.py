"""``vla-train collect``: demonstrations of a task, one file an episode, the same seed always the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vla_runtime.app.collect.report import CollectReport
from vla_runtime.app.collect.work import Collected, Job, Setup
from vla_runtime.app.config import LogConfig, RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Scenario, expert_for, instructions_of, open_demonstrator
from vla_runtime.app.simulate.check import check_counts, check_seconds, check_seed
from vla_runtime.app.simulate.files import check_free, drafts
from vla_runtime.app.simulate.pool import default_workers, do_all, sigterm_interrupts
from vla_runtime.app.simulate.progress import Progress
from vla_runtime.core.errors import ConfigError

__all__ = ["CollectOptions", "collect", "episode_name"]

_WORK = "vla_runtime.app.collect.work"
_WIDEST = 1.0


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """What to collect. Seeds run from ``seed``; an episode's instruction is the task's one at seed modulo their number.

    ``disturb``: the most, in rad, that the commands are disturbed by (standard deviation; see ``Disturbance``).
    ``replan_interval`` None: the config's. ``workers`` None: one for each core. ``overwrite``: replace episodes of the
    same seeds.
    """

    robot: str
    task: str
    out: Path
    episodes: int
    seed: int = 0
    disturb: float = 0.0
    chunk_length: int = 16
    replan_interval: int | None = None
    max_seconds: float = 60.0
    keep_failures: bool = False
    overwrite: bool = False
    workers: int | None = None


def episode_name(task: str, seed: int) -> str:
    """The file of the episode with ``seed``."""
    return f"{task}-{seed:06d}.mcap"


def collect(options: CollectOptions, say: Callable[[str], None]) -> CollectReport:
    """Let the device's expert do the task ``options.episodes`` times.

    Args:
        say: told, in a line, how far it has come.

    Raises:
        Refusal: an option or the robot does not fit, or an episode is there already; nothing was begun.
        KeyboardInterrupt: Ctrl-C or SIGTERM. No process and no half-written file is left; whole episodes stay.
    """
    _check(options)
    config = _config(options)
    with closing(open_demonstrator(config)) as device:
        instructions = instructions_of(device, options.task)
    expert_for(config, options.task, instructions, options.chunk_length)
    jobs = [
        Job(
            Scenario(
                seed,
                instructions[seed % len(instructions)],
                max_seconds=options.max_seconds,
                disturb=options.disturb,
            ),
            episode_name(options.task, seed),
        )
        for seed in range(options.seed, options.seed + options.episodes)
    ]
    if not options.overwrite:
        remedy = "choose another directory or seed, or replace them with --overwrite"
        check_free(options.out, [job.name for job in jobs], remedy)
    workers = min(options.workers or default_workers(), len(jobs))
    found: list[Collected] = []
    progress = Progress(len(jobs), say)

    def done(index: int, answer: bytes) -> None:
        found.append(msgspec.json.decode(answer, type=Collected))
        progress.add(found[-1].success)

    begun = time.monotonic()
    with sigterm_interrupts(), drafts(options.out) as draft:
        setup = Setup(
            config, options.task, options.chunk_length, str(options.out), str(draft), options.keep_failures
        )  # fmt: skip
        do_all(_WORK, msgspec.json.encode(setup), [msgspec.json.encode(job) for job in jobs], workers, done)
    return CollectReport(
        robot=config.name,
        task=options.task,
        out=str(options.out),
        seed=options.seed,
        chunk_length=options.chunk_length,
        replan_interval=config.policy.replan_interval,
        disturb=options.disturb,
        workers=workers,
        wall_s=time.monotonic() - begun,
        episodes=sorted(found, key=lambda episode: episode.seed),
    )


def _check(options: CollectOptions) -> None:
    check_counts(
        episodes=options.episodes,
        workers=options.workers,
        chunk_length=options.chunk_length,
        replan_interval=options.replan_interval,
    )
    check_seconds(options.max_seconds)
    check_seed(options.seed, options.episodes)
    if not 0 <= options.disturb <= _WIDEST:
        raise ConfigError(f"{options.disturb:g} given, expected 0 to {_WIDEST:g} rad", "--disturb")


def _config(options: CollectOptions) -> RobotConfig:
    """The robot's config with what the command line changes, and without a policy file: the expert needs none."""
    config = load_config(options.robot)
    interval = options.replan_interval
    policy = msgspec.structs.replace(
        config.policy, file="", replan_interval=config.policy.replan_interval if interval is None else interval
    )
    return msgspec.structs.replace(config, policy=policy, log=LogConfig(directory=""))
