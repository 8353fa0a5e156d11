"""Success is the only reward, in an env and on stored data, and it is a bool."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TransformedEnv

from vla_runtime.learn import toy
from vla_runtime.learn.executor import chunk_env
from vla_runtime.learn.keys import ACTION, CHUNK, REWARD, STATE, SUCCESS
from vla_runtime.learn.reward import success_reward


def test_stored_success_becomes_a_sparse_reward() -> None:
    td = TensorDict({SUCCESS: torch.tensor([[True], [False]])}, [2])
    assert success_reward(2.0)(td)[REWARD].tolist() == [[2.0], [0.0]]


def test_an_env_rewards_success_and_nothing_else() -> None:
    env = TransformedEnv(toy.make_env([2], seed=0, success_steps=1), success_reward())
    assert env.reward_spec.space.low.eq(0).all()
    assert env.reward_spec.space.high.eq(1).all()
    td = env.reset()
    goal = td[STATE][..., 4:].clone()
    goal[1] += 0.4
    step = env.step(td.set(ACTION, goal))["next"]
    assert step[REWARD].tolist() == [[1.0], [0.0]]


def test_a_chunk_is_rewarded_once() -> None:
    env = chunk_env(toy.make_env([2], seed=0, success_steps=2), success_reward())
    td = env.reset()
    chunk = td[STATE][:, None, 4:].expand(2, 5, 4).clone()
    chunk[1] += 0.4
    step = env.step(td.set(CHUNK, chunk))["next"]
    assert step[REWARD].tolist() == [[1.0], [0.0]]
    assert step["done"].tolist() == [[True], [False]]


@pytest.mark.parametrize("success", [torch.tensor([[0.5]]), torch.tensor([[7]])])
def test_a_success_that_is_no_bool_is_refused(success: torch.Tensor) -> None:
    with pytest.raises(TypeError, match=r"expected torch\.bool"):
        success_reward()(TensorDict({SUCCESS: success}, [1]))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_rewards_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        success_reward(scale)
