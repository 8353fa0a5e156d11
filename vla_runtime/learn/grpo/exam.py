"""How well a policy does, acting greedily: on the toy task and on a simulated robot."""

from __future__ import annotations

import dataclasses
from math import ceil
from typing import Protocol

import torch

from vla_runtime.app.config import RobotConfig
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.evaluate import toy_success
from vla_runtime.learn.grpo.robot_env import Plan
from vla_runtime.learn.grpo.rollouts import Rollouts
from vla_runtime.learn.grpo.samples import succeeded
from vla_runtime.learn.grpo.workers import robot_makers

__all__ = ["Exam", "RobotExam", "ToyExam"]


class Exam(Protocol):
    """Success rates over the same episodes each time."""

    def success(self, made: Checkpoint) -> float:
        """Of ``made``, between 0 and 1. It is the same policy each time, trained further."""
        ...

    def close(self) -> None:
        """End what it keeps open."""
        ...


class ToyExam:
    """``episodes`` of ToyVLAEnv; whole chunks are executed, as they are in practice."""

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes

    def success(self, made: Checkpoint) -> float:
        rows = made.spec.chunk_length
        return toy_success(made.policy, made.spec, episodes=self._episodes, replan_interval=rows)

    def close(self) -> None:
        pass


class RobotExam:
    """``episodes`` of ``plan``, whose groups are single ones, on ``workers`` workers that stay until it is closed."""

    def __init__(self, config: RobotConfig, plan: Plan, workers: int, episodes: int) -> None:
        self._rounds = ceil(episodes / plan.lanes)
        self._plan = dataclasses.replace(plan, groups=self._rounds * plan.lanes)
        self._config, self._workers, self._episodes = config, workers, episodes
        self._rollouts: Rollouts | None = None

    def success(self, made: Checkpoint) -> float:
        if self._rollouts is None:
            makers = robot_makers(self._config, made.spec, self._plan, self._workers)
            self._rollouts = Rollouts(
                makers, made.policy, episodes=self._plan.lanes, steps=self._plan.chunks, greedy=True
            )
        done = torch.cat([succeeded(self._rollouts.collect(number)) for number in range(self._rounds)])
        return done[: self._episodes].float().mean().item()

    def close(self) -> None:
        if self._rollouts is not None:
            self._rollouts.close()
            self._rollouts = None
