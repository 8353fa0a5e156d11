"""Environments of a simulated robot, for one worker or several."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from functools import partial

import torch
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.transforms import Compose

from vla_runtime.app.config import RobotConfig
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.grpo.robot_env import Plan, RobotEnv
from vla_runtime.learn.keys import CHUNK
from vla_runtime.learn.reward import success_reward
from vla_runtime.learn.scaling import Scaling

__all__ = ["robot_env", "robot_makers"]


def robot_env(
    config: RobotConfig, spec: PolicySpec, plan: Plan, first: int, count: int, first_round: int = 0
) -> EnvBase:
    """``RobotEnv`` for a policy with contract ``spec``: normalised states and chunks."""
    torch.set_num_threads(1)
    if multiprocessing.parent_process() is not None:
        # A terminal's Ctrl-C reaches every process; whoever started this one ends it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    scaling = Scaling.from_spec(spec)
    env = RobotEnv(config, spec, plan, first, count, first_round)
    return TransformedEnv(env, Compose(scaling.observation_norm(), scaling.env_action(CHUNK), success_reward()))


def robot_makers(
    config: RobotConfig, spec: PolicySpec, plan: Plan, workers: int, first_round: int = 0
) -> list[Callable[[], EnvBase]]:
    """What makes the environments of ``workers`` workers, each with its part of the plan's lanes."""
    share = plan.lanes // workers
    return [partial(robot_env, config, spec, plan, share * index, share, first_round) for index in range(workers)]
