"""The reward of reinforcement learning: whether the task was done, and nothing else."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchrl.envs.transforms import SuccessReward

from vla_runtime.learn.keys import REWARD, SUCCESS

__all__ = ["success_reward"]


def success_reward(scale: float = 1.0) -> SuccessReward:
    """torchrl's: ``scale`` in a step in which ``success`` bool[..., 1] holds, else 0.

    Raises:
        ValueError: ``scale`` is not a number above 0.
        TypeError: later, a success that is not bool, which torchrl would multiply.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale {scale} given, expected a number above 0")
    return _BoolSuccess(SUCCESS, REWARD, scale=scale)


class _BoolSuccess(SuccessReward):
    def _apply_transform(self, success: Tensor) -> Tensor:
        if success.dtype != torch.bool:
            raise TypeError(f"success of {success.dtype} given, expected torch.bool")
        return super()._apply_transform(success)
