"""The toy task's demonstrations and the success that the recipe reaches."""

from __future__ import annotations

import pytest
import torch

from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.evaluate import toy_success
from vla_runtime.learn.keys import ACTION, EXECUTED, IMAGE, STATE
from vla_runtime.learn.policy import build_policy


def test_the_label_is_the_target_that_the_state_names() -> None:
    data = toy.collect(8, 6, seed=3)
    assert torch.equal(data[ACTION], data[STATE][..., toy.ACTION_DIM :])


def test_the_state_echoes_what_was_executed_not_the_label() -> None:
    data = toy.collect(8, 6, seed=3)
    echo, before = data[STATE][:, 1:, : toy.ACTION_DIM], data[EXECUTED][:, :-1]
    going_on = ~data["next", "done"][:, :-1, 0]
    assert torch.equal(echo[going_on], before[going_on])
    assert not torch.allclose(echo[going_on], data[ACTION][:, :-1][going_on])


def test_demonstrations_cover_the_range_of_echoed_actions() -> None:
    echo = toy.collect(seed=0)[STATE][..., : toy.ACTION_DIM]
    assert echo.amin() < -0.95
    assert echo.amax() > 0.95


def test_the_same_seed_gives_the_same_demonstrations() -> None:
    first, second, other = toy.collect(4, 5, seed=1), toy.collect(4, 5, seed=1), toy.collect(4, 5, seed=2)
    for key in (STATE, ACTION, IMAGE):
        assert torch.equal(first[key], second[key])
        assert not torch.equal(first[key], other[key])


def test_the_recipe_reaches_its_success_rate(toy_checkpoint: Checkpoint) -> None:
    assert toy_success(toy_checkpoint.policy, toy_checkpoint.spec, episodes=200) >= 0.98


@pytest.mark.parametrize(("replan_interval", "calls"), [(1, 12), (4, 3), (8, 2)])
def test_a_chunk_is_executed_for_the_replan_interval(replan_interval: int, calls: int) -> None:
    data = toy.collect(8, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    policy = build_policy(spec, seed=0)
    asked = []
    policy.register_forward_pre_hook(lambda *_: asked.append(1))
    toy_success(policy, spec, episodes=5, max_steps=12, replan_interval=replan_interval)
    assert len(asked) == calls


def test_an_untrained_policy_fails() -> None:
    data = toy.collect(8, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    assert toy_success(build_policy(spec, seed=0), spec, episodes=50) <= 0.1
