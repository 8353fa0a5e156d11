"""From a recipe to a training: where the episodes come from, and how success is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from pathlib import Path

import torch
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.transforms import Compose

from vla_runtime.app.config import RobotConfig
from vla_runtime.app.load import load_config
from vla_runtime.app.simulate import Latency
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint
from vla_runtime.learn.evaluate import toy_success
from vla_runtime.learn.grpo.recipe import GrpoRecipe
from vla_runtime.learn.grpo.robot_env import Plan, RobotEnv
from vla_runtime.learn.grpo.rollouts import Rollouts
from vla_runtime.learn.grpo.samples import succeeded
from vla_runtime.learn.grpo.toy_env import toy_env
from vla_runtime.learn.grpo.training import Grpo
from vla_runtime.learn.grpo.weak import weak_start
from vla_runtime.learn.keys import CHUNK
from vla_runtime.learn.reward import success_reward
from vla_runtime.learn.scaling import Scaling

__all__ = ["grpo_training", "robot_env", "robot_success"]

_PRACTICE, _SEEDS_A_RUN = 10_000_000, 1_000_000
"""Seeds of practice episodes; demonstrations begin at 0, evaluations at 1000000."""
_EVALUATION = 1_000_000


def grpo_training(recipe: GrpoRecipe) -> Grpo:
    """The training that ``recipe`` describes; close it in the end.

    Raises:
        ConfigError: the recipe is wrong, or the checkpoint has no token head.
        PolicyFileError: the checkpoint cannot be read.
    """
    recipe.check()
    made = load_checkpoint(Path(recipe.init)) if recipe.init else weak_start(recipe.seed)
    if made.policy.action_head != "tokens":
        raise ConfigError(f"{recipe.init} has a {made.spec.head!r} head, expected 'tokens'", "$.init")
    made.training |= {"method": "grpo", "seed": recipe.seed}
    opened, evaluation = _toy(recipe, made) if recipe.env else _robot(recipe, made)
    return Grpo(made, opened, evaluation, recipe.settings(), seed=recipe.seed)


def robot_env(
    config: RobotConfig, spec: PolicySpec, plan: Plan, first: int, count: int, first_round: int = 0
) -> EnvBase:
    """``RobotEnv`` for a policy with contract ``spec``: normalised states and chunks."""
    torch.set_num_threads(1)
    scaling = Scaling.from_spec(spec)
    env = RobotEnv(config, spec, plan, first, count, first_round)
    return TransformedEnv(env, Compose(scaling.observation_norm(), scaling.env_action(CHUNK), success_reward()))


def robot_success(made: Checkpoint, config: RobotConfig, plan: Plan, workers: int) -> float:
    """Success rate of the policy, greedy, over the episodes of ``plan``, whose groups are single episodes."""
    share = plan.lanes // workers
    makers = [partial(robot_env, config, made.spec, plan, share * index, share) for index in range(workers)]
    with Rollouts(makers, made.policy, episodes=plan.lanes, steps=plan.chunks, greedy=True) as rollouts:
        rounds = ceil((plan.groups or plan.lanes) / plan.lanes)
        done = torch.cat([succeeded(rollouts.collect(number)) for number in range(rounds)])
    return done[: plan.groups].float().mean().item()


def _toy(recipe: GrpoRecipe, made: Checkpoint) -> tuple[Callable[[int], Rollouts], Callable[..., Mapping[str, float]]]:
    lanes = recipe.groups * recipe.group_size

    def opened(first_round: int) -> Rollouts:
        return Rollouts(
            [partial(toy_env, made.spec, lanes, recipe.group_size, recipe.seed)],
            made.policy, recipe.temperature, episodes=lanes, steps=1, fresh=True, backend=recipe.collectors,
        )  # fmt: skip

    def evaluation(made: Checkpoint) -> Mapping[str, float]:
        rows = made.spec.chunk_length
        success = toy_success(made.policy, made.spec, episodes=recipe.episodes, replan_interval=rows)
        return {"score": success, "success": success}

    return opened, evaluation


def _robot(
    recipe: GrpoRecipe, made: Checkpoint
) -> tuple[Callable[[int], Rollouts], Callable[..., Mapping[str, float]]]:
    assert recipe.robot is not None
    assert recipe.task is not None
    config = load_config(recipe.robot)
    latency = Latency(round(recipe.latency_ms * 1e6))
    first_seed = _PRACTICE + recipe.seed * _SEEDS_A_RUN
    chunks = _chunks(recipe.seconds, recipe.replan_interval, made.spec)
    plan = Plan(recipe.task, recipe.lanes, recipe.group_size, chunks, recipe.replan_interval, first_seed, latency)
    share = recipe.lanes // recipe.workers

    def opened(first_round: int) -> Rollouts:
        makers = [
            partial(robot_env, config, made.spec, plan, share * index, share, first_round)
            for index in range(recipe.workers)
        ]
        return Rollouts(
            makers, made.policy, recipe.temperature, episodes=plan.lanes, steps=plan.chunks, backend=recipe.collectors
        )

    def evaluation(made: Checkpoint) -> Mapping[str, float]:
        interval = config.policy.replan_interval or made.spec.chunk_length
        steps = _chunks(recipe.exam_seconds, interval, made.spec)
        exam = Plan(recipe.task, recipe.lanes, 1, steps, interval, _EVALUATION, latency, groups=recipe.episodes)
        success = robot_success(made, config, exam, recipe.workers)
        return {"score": success, "success": success}

    return opened, evaluation


def _chunks(seconds: float, rows: int, spec: PolicySpec) -> int:
    """How many chunks, ``rows`` of each executed, last ``seconds``."""
    return ceil(seconds * 1e9 / (rows * spec.dt_ns))
