"""What is to be evaluated, and the episodes that this means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vla_runtime.app.evaluate.work import Job
from vla_runtime.app.simulate import Latency, Scenario
from vla_runtime.app.simulate.latency import Pattern

__all__ = ["FIRST_SEED", "EvaluateOptions", "jobs_of"]

FIRST_SEED = 1_000_000
"""Far from where demonstrations begin, so that nothing is evaluated on what it was trained on."""


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What to evaluate. Episode i has seed ``seed + i`` and the task's instruction i modulo their number.

    ``ablate``: show the policy black images, or tell it another instruction of the task than the device. ``expert``:
    the device's own demonstration in the policy's place. ``workers`` None: one for each core.
    """

    robot: str
    task: str
    episodes: int = 100
    latencies_ms: Sequence[float] = (0.0,)
    latency_pattern: Pattern = "constant"
    policy: str | None = None
    expert: bool = False
    replan_interval: int | None = None
    ablate: Literal["images", "instruction"] | None = None
    seed: int = FIRST_SEED
    workers: int | None = None
    log: Path | None = None
    max_seconds: float = 60.0


def jobs_of(options: EvaluateOptions, instructions: Sequence[str]) -> list[Job]:
    """Every episode at every latency. With ``ablate: instruction`` there must be more than one instruction."""
    jobs = []
    for latency_ms in dict.fromkeys(options.latencies_ms):
        for index in range(options.episodes):
            seed, which = options.seed + index, index % len(instructions)
            told = ""
            if options.ablate == "instruction":
                told = instructions[(which + 1 + seed % (len(instructions) - 1)) % len(instructions)]
            scenario = Scenario(
                seed,
                instructions[which],
                told,
                latency=Latency(round(latency_ms * 1e6), options.latency_pattern),
                max_seconds=options.max_seconds,
                dark=options.ablate == "images",
            )
            name = f"{options.task}-{latency_ms:g}ms-{seed:06d}.mcap" if options.log is not None else ""
            jobs.append(Job(scenario, name))
    return jobs
