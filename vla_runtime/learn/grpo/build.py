"""From a recipe to a training: where the episodes come from, and how success is measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Latency, instructions_of, open_demonstrator
from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint
from vla_runtime.learn.grpo.exam import Exam, RobotExam, ToyExam
from vla_runtime.learn.grpo.recipe import GrpoRecipe
from vla_runtime.learn.grpo.robot_env import Plan
from vla_runtime.learn.grpo.rollouts import Rollouts
from vla_runtime.learn.grpo.toy_env import toy_env
from vla_runtime.learn.grpo.training import Grpo
from vla_runtime.learn.grpo.weak import weak_start
from vla_runtime.learn.grpo.workers import robot_makers

__all__ = ["grpo_training"]

_PRACTICE, _SEEDS_A_RUN = 10_000_000, 1_000_000
"""Seeds of practice episodes; demonstrations begin at 0, evaluations at 1000000."""
_EVALUATION = 1_000_000


def grpo_training(recipe: GrpoRecipe) -> Grpo:
    """The training that ``recipe`` describes; close it in the end.

    Raises:
        ConfigError: the recipe is wrong, the robot's device does not know the task or takes no such options, or the
            checkpoint has no token head.
        PolicyFileError: the checkpoint cannot be read.
    """
    recipe.check()
    made = load_checkpoint(Path(recipe.init)) if recipe.init else weak_start(recipe.seed)
    if made.policy.action_head != "tokens":
        raise ConfigError(f"{recipe.init} has a {made.spec.head!r} head, expected 'tokens'", "$.init")
    made.training |= {"method": "grpo", "seed": recipe.seed}
    varied = _varied(recipe, made.spec)
    opened, exam = (_toy if recipe.env else _robot)(recipe, made, varied)
    return Grpo(made, opened, exam, recipe.settings(), varied=varied, seed=recipe.seed)


def _varied(recipe: GrpoRecipe, spec: PolicySpec) -> Tensor | None:
    """bool[A]: which actions are explored; None for all."""
    names = [action.name for action in spec.actions]
    for name in recipe.explore:
        if name not in names:
            raise ConfigError(f"there is no action {name!r}; {choices(name, names)}", "$.explore")
    return torch.tensor([name in recipe.explore for name in names]) if recipe.explore else None


def _toy(recipe: GrpoRecipe, made: Checkpoint, varied: Tensor | None) -> tuple[Callable[[int], Rollouts], Exam]:
    lanes = recipe.groups * recipe.group_size

    def opened(first_round: int) -> Rollouts:
        return Rollouts(
            [partial(toy_env, made.spec, lanes, recipe.group_size, recipe.seed)],
            made.policy, recipe.temperature, recipe.coherence, varied,
            episodes=lanes, steps=1, fresh=True, backend=recipe.collectors,
        )  # fmt: skip

    return opened, ToyExam(recipe.episodes)


def _robot(recipe: GrpoRecipe, made: Checkpoint, varied: Tensor | None) -> tuple[Callable[[int], Rollouts], Exam]:
    assert recipe.robot is not None
    assert recipe.task is not None
    config, spec = load_config(recipe.robot), made.spec
    latency = Latency(round(recipe.latency_ms * 1e6))
    plan = Plan(
        recipe.task, recipe.lanes, recipe.group_size, _chunks(recipe.seconds, recipe.replan_interval, spec),
        recipe.replan_interval, _PRACTICE + recipe.seed * _SEEDS_A_RUN, latency, levels=recipe.levels,
    )  # fmt: skip

    _check_levels(config, plan)

    def opened(first_round: int) -> Rollouts:
        return Rollouts(
            robot_makers(config, spec, plan, recipe.workers, first_round),
            made.policy, recipe.temperature, recipe.coherence, varied,
            episodes=plan.lanes, steps=plan.chunks, backend=recipe.collectors,
        )  # fmt: skip

    steps = _chunks(recipe.exam_seconds, recipe.replan_interval, spec)
    exam = Plan(recipe.task, recipe.lanes, 1, steps, recipe.replan_interval, _EVALUATION, latency)
    return opened, RobotExam(config, exam, recipe.workers, recipe.episodes)


def _check_levels(config: RobotConfig, plan: Plan) -> None:
    """Refuse here, and not in a worker, what the device does not take."""
    for number in range(len(plan.levels)):
        device = open_demonstrator(plan.device(number * plan.group_size, config))
        try:
            instructions_of(device, plan.task)
        finally:
            device.close()


def _chunks(seconds: float, rows: int, spec: PolicySpec) -> int:
    """How many chunks, ``rows`` of each executed, last ``seconds``."""
    return ceil(seconds * 1e9 / (rows * spec.dt_ns))
