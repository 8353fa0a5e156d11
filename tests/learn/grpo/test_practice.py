"""Group-relative policy optimisation, from a weak start."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from tensordict import TensorDict

from vla_runtime.core.errors import ConfigError
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.build import grpo_training
from vla_runtime.learn.grpo.exam import ToyExam
from vla_runtime.learn.grpo.recipe import GrpoRecipe
from vla_runtime.learn.grpo.rollouts import Rollouts, acting, iteration_seed
from vla_runtime.learn.grpo.toy_env import toy_env
from vla_runtime.learn.grpo.training import Grpo, Settings
from vla_runtime.learn.keys import LOG_PROBS, LOGITS, TOKENS

GROUPS, SIZE = 32, 8


def practice(made: Checkpoint, iterations: int = 4, **changes: object) -> Grpo:
    settings = {"iterations": iterations, "group_size": SIZE, "batch_size": 256, "temperature": 0.3, "lr": 8e-4}
    lanes = GROUPS * SIZE

    def opened(first_round: int) -> Rollouts:
        return Rollouts(
            [partial(toy_env, made.spec, lanes, SIZE)], made.policy, 0.3, episodes=lanes, steps=1, fresh=True
        )

    return Grpo(made, opened, ToyExam(8), Settings(**{**settings, **changes}), seed=3)


def weights(made: Checkpoint) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in made.policy.parameters()])


def test_success_rises_from_a_weak_start() -> None:
    recipe = GrpoRecipe(
        env="toy", iterations=16, groups=128, group_size=16, epochs=1, batch_size=512, lr=8e-4, temperature=0.3
    )
    training = grpo_training(recipe)
    before = training.evaluate()["score"]
    assert before <= 0.3
    while training.step_number < training.steps:
        training.step()
    training.close()
    assert training.evaluate()["score"] >= before + 0.25


def test_tokens_and_log_probabilities_are_those_of_the_policy_that_drew_them(weak: Checkpoint) -> None:
    rollouts = practice(weak)._open(0)
    drawn = rollouts.collect(7).reshape(-1)
    rollouts.close()
    with torch.no_grad():
        again = acting(weak.policy, 0.3).get_dist(drawn).log_prob(drawn[TOKENS])
    torch.testing.assert_close(again, drawn[LOG_PROBS])
    assert LOGITS not in drawn.keys(True)


def test_the_same_seed_draws_the_same_tokens(weak: Checkpoint) -> None:
    rollouts = practice(weak)._open(0)
    first, second, other = (rollouts.collect(seed)[TOKENS] for seed in (1, 1, 2))
    rollouts.close()
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_going_on_from_a_state_gives_what_one_piece_would_have(weak: Checkpoint) -> None:
    whole, half, rest = weak, copy.deepcopy(weak), copy.deepcopy(weak)
    training = practice(whole)
    for _ in range(4):
        training.step()
    training.close()
    training = practice(half)
    for _ in range(2):
        training.step()
    training.close()
    state = copy.deepcopy(training.state_dict())
    training = practice(rest)
    training.load_state_dict(state)
    while training.step_number < training.steps:
        training.step()
    training.close()
    assert torch.equal(weights(whole), weights(rest))


def test_an_iteration_without_a_mixed_group_changes_nothing(weak: Checkpoint) -> None:
    class Failures:
        def collect(self, seed: int) -> TensorDict:
            training = practice(weak)
            data = training._open(0).collect(seed)
            data["next", "success"].zero_()
            return data

        def close(self) -> None: ...

    training = practice(weak)
    training._open = lambda first_round: Failures()
    before = weights(weak).clone()
    figures = training.step()
    assert figures["mixed"] == 0
    assert training.step_number == 1
    assert torch.equal(weights(weak), before)


def test_without_averaging_what_is_evaluated_and_kept_is_what_is_trained(weak: Checkpoint) -> None:
    training = practice(weak)
    training.step()
    assert torch.equal(weights(training.checkpoint()), weights(weak))
    training.close()


def test_with_averaging_it_is_the_running_mean_of_what_the_iterations_left(weak: Checkpoint) -> None:
    training = practice(weak, averaging=0.75)
    mean = weights(weak).clone()
    for _ in range(3):
        training.step()
        mean = 0.75 * mean + 0.25 * weights(weak)
    torch.testing.assert_close(weights(training.checkpoint()), mean)
    assert not torch.equal(weights(training.checkpoint()), weights(weak))
    training.close()


def test_a_part_of_the_policy_has_its_own_learning_rate(weak: Checkpoint) -> None:
    name, part = next(
        (name, part) for name, part in weak.policy.named_children() if any(True for _ in part.parameters())
    )
    before, of_part = weights(weak).clone(), [parameter.detach().clone() for parameter in part.parameters()]
    training = practice(weak, lr_scales={name: 1e-9})
    training.step()
    training.close()
    for parameter, old in zip(part.parameters(), of_part, strict=True):
        torch.testing.assert_close(parameter, old, rtol=0, atol=1e-9)
    assert (weights(weak) - before).abs().max() > 1e-5
    with pytest.raises(ConfigError, match=r"no part 'eyes'; valid: .*" + name):
        practice(weak, lr_scales={"eyes": 2.0})


def test_an_action_to_explore_that_the_policy_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\$.explore: there is no action 'wing'; valid: "):
        grpo_training(GrpoRecipe(env="toy", explore=("wing",)))


def test_only_a_token_head_can_practise(toy_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="'tokens' head, given 'continuous'"):
        practice(toy_checkpoint)


def test_every_iteration_of_every_run_has_a_seed_of_its_own() -> None:
    seeds = [iteration_seed(run, iteration) for run in range(20) for iteration in range(200)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected one of them"),
        ({"env": "toy", "robot": "arm"}, "expected one of them"),
        ({"env": "toy", "task": "reach"}, r"\$.task"),
        ({"robot": "arm", "task": "reach"}, r"\$.init"),
        ({"robot": "arm", "init": "m.pt"}, r"\$.task"),
        ({"robot": "arm", "task": "reach", "init": "m.pt", "lanes": 20}, r"\$.lanes: 20 given"),
        ({"robot": "arm", "task": "reach", "init": "m.pt", "levels": ({},) * 3}, r"\$.levels: 3 given"),
        ({"robot": "arm", "task": "reach", "init": "m.pt", "groups": 3}, r"\$.groups: 3 of 8"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GrpoRecipe(**changes).check()
