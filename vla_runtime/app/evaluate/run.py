"""``vla-eval``: many virtual episodes of one task, at one latency or more, in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import msgspec

from vla_runtime.app.config import LogConfig, RobotConfig
from vla_runtime.app.evaluate.jobs import EvaluateOptions, jobs_of
from vla_runtime.app.evaluate.report import EvaluationReport
from vla_runtime.app.evaluate.result import EpisodeResult
from vla_runtime.app.evaluate.work import EXPERT_CHUNK, Setup
from vla_runtime.app.load import load_config
from vla_runtime.app.run import RunOptions, with_options
from vla_runtime.app.simulate import expert_for, instructions_of, open_demonstrator, open_policy
from vla_runtime.app.simulate.check import check_counts, check_seconds, check_seed
from vla_runtime.app.simulate.files import check_free, drafts
from vla_runtime.app.simulate.pool import default_workers, do_all, sigterm_interrupts
from vla_runtime.app.simulate.progress import Progress
from vla_runtime.core.errors import ConfigError

__all__ = ["evaluate"]

_LONGEST_MS = 60_000.0
_WORK = "vla_runtime.app.evaluate.work"


def evaluate(options: EvaluateOptions, say: Callable[[str], None]) -> EvaluationReport:
    """Run every episode at every latency.

    Args:
        say: told, in a line, how far it has come.

    Raises:
        Refusal: an option, the robot or the policy does not fit; nothing was begun.
        KeyboardInterrupt: Ctrl-C or SIGTERM. No process and no half-written file is left; whole episodes stay.
    """
    _check(options)
    config = _config(options)
    with closing(open_demonstrator(config)) as device:
        instructions = instructions_of(device, options.task)
    if options.ablate == "instruction" and len(instructions) < 2:
        raise ConfigError(f"task {options.task!r} has one instruction, there is no other to tell", "--ablate")
    if options.expert:
        expert = expert_for(config, options.task, instructions, EXPERT_CHUNK)
        name, policy_hash = expert.spec.name, expert.hash
    else:
        with closing(open_policy(config, instructions)) as policy:
            name, policy_hash = policy.spec.name, policy.hash
    jobs = jobs_of(options, instructions)
    workers = min(options.workers or default_workers(), len(jobs))
    results: list[EpisodeResult] = []
    progress = Progress(len(jobs), say)

    def done(index: int, answer: bytes) -> None:
        results.append(msgspec.json.decode(answer, type=EpisodeResult))
        progress.add(results[-1].success)

    begun = time.monotonic()
    with sigterm_interrupts(), ExitStack() as stack:
        setup = Setup(config, options.task, options.expert)
        if options.log is not None:
            check_free(options.log, [job.log for job in jobs], "choose another directory")
            setup = msgspec.structs.replace(
                setup, logs=str(options.log), drafts=str(stack.enter_context(drafts(options.log)))
            )
        do_all(_WORK, msgspec.json.encode(setup), [msgspec.json.encode(job) for job in jobs], workers, done)
    return EvaluationReport(
        robot=config.name,
        task=options.task,
        policy=name,
        policy_hash=policy_hash,
        ablate=options.ablate,
        replan_interval=config.policy.replan_interval,
        latency_pattern=options.latency_pattern,
        seed=options.seed,
        workers=workers,
        wall_s=time.monotonic() - begun,
        results=sorted(results, key=lambda result: (result.latency_ms, result.seed)),
    )


def _check(options: EvaluateOptions) -> None:
    check_counts(episodes=options.episodes, workers=options.workers, replan_interval=options.replan_interval)
    check_seconds(options.max_seconds)
    check_seed(options.seed, options.episodes)
    for latency_ms in options.latencies_ms:
        if not 0 <= latency_ms <= _LONGEST_MS:
            raise ConfigError(f"{latency_ms:g} given, expected 0 to {_LONGEST_MS:g}", "--latency-ms")
    if not options.latencies_ms:
        raise ConfigError("none given, expected at least one", "--latency-ms")
    if options.expert and (options.policy or options.ablate):
        raise ConfigError("the expert takes no policy and nothing away", "--expert")


def _config(options: EvaluateOptions) -> RobotConfig:
    """The robot's config with what the command line changes, and without what plays no part in virtual time."""
    config = load_config(options.robot)
    if not options.expert:
        config = with_options(config, RunOptions(options.robot, policy=options.policy))
    if options.replan_interval is not None:
        policy = msgspec.structs.replace(config.policy, replan_interval=options.replan_interval)
        config = msgspec.structs.replace(config, policy=policy)
    return msgspec.structs.replace(config, log=LogConfig(directory=""))
