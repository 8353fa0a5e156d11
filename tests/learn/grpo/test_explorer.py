"""Tokens that are drawn with noise which lasts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type

from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.explorer import AWAKE, Explorer, quantile_tokens
from vla_runtime.learn.grpo.rollouts import acting
from vla_runtime.learn.grpo.toy_env import toy_env
from vla_runtime.learn.keys import CHUNK, LOG_PROBS, NOISE, TOKENS

LANES = 64


@pytest.fixture
def seen(weak: Checkpoint) -> TensorDict:
    return toy_env(weak.spec, LANES, 8).reset()


def drawn(weak: Checkpoint, seen: TensorDict, coherence: float, kind: ExplorationType) -> TensorDict:
    torch.manual_seed(0)
    with set_exploration_type(kind), torch.no_grad():
        return Explorer(acting(weak.policy), coherence)(seen.copy())


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_the_quantiles_of_even_numbers_come_as_often_as_their_probability_says(bins: int, seed: int) -> None:
    probabilities = torch.rand(bins, generator=torch.Generator().manual_seed(seed)).add(0.01)
    probabilities /= probabilities.sum()
    even = (torch.arange(10_000) + 0.5) / 10_000
    counts = torch.bincount(quantile_tokens(probabilities.expand(10_000, -1), even), minlength=bins)
    torch.testing.assert_close(counts / 10_000, probabilities, atol=3e-4, rtol=0)


def test_the_last_bin_is_the_last_one_even_where_rounding_leaves_the_sum_below_one() -> None:
    assert quantile_tokens(torch.tensor([0.5, 0.4999]), torch.tensor(1.0)).item() == 1


def test_greedy_it_takes_the_likeliest_token_whatever_the_noise(weak: Checkpoint, seen: TensorDict) -> None:
    greedy = drawn(weak, seen, 1.0, ExplorationType.DETERMINISTIC)
    logits = acting(weak.policy).get_dist(seen).logits
    assert torch.equal(greedy[TOKENS], logits.argmax(-1))


def test_wholly_coherent_noise_moves_all_rows_to_the_same_side(weak: Checkpoint, seen: TensorDict) -> None:
    seen[NOISE] = torch.full_like(seen[NOISE], 1.5)
    greedy = drawn(weak, seen, 1.0, ExplorationType.DETERMINISTIC)[TOKENS]
    assert (drawn(weak, seen, 1.0, ExplorationType.RANDOM)[TOKENS] >= greedy).all()
    seen[NOISE] = -seen[NOISE]
    assert (drawn(weak, seen, 1.0, ExplorationType.RANDOM)[TOKENS] <= greedy).all()


def test_without_coherence_the_noise_of_the_episode_says_nothing(weak: Checkpoint, seen: TensorDict) -> None:
    first = drawn(weak, seen, 0.0, ExplorationType.RANDOM)[TOKENS]
    seen[NOISE] = seen[NOISE] + 5
    assert torch.equal(drawn(weak, seen, 0.0, ExplorationType.RANDOM)[TOKENS], first)


@pytest.mark.parametrize("coherence", [0.0, 0.7, 1.0])
def test_every_token_is_as_likely_as_without_coherence(weak: Checkpoint, seen: TensorDict, coherence: float) -> None:
    many = seen[:1].expand(4000).clone()
    many[NOISE] = torch.randn(4000, seen[NOISE].shape[-1], generator=torch.Generator().manual_seed(1))
    tokens = drawn(weak, many, coherence, ExplorationType.RANDOM)[TOKENS]
    probabilities = acting(weak.policy).get_dist(seen[:1]).probs[0]
    shares = torch.nn.functional.one_hot(tokens, probabilities.shape[-1]).float().mean(0)
    assert (shares - probabilities).abs().max() < 0.05


def test_dimensions_that_are_not_varied_get_their_likeliest_tokens_and_the_others_what_they_got_before(
    weak: Checkpoint, seen: TensorDict
) -> None:
    varied = torch.arange(seen[NOISE].shape[-1]) % 2 == 0
    every = drawn(weak, seen, 0.5, ExplorationType.RANDOM)
    torch.manual_seed(0)
    with set_exploration_type(ExplorationType.RANDOM), torch.no_grad():
        some = Explorer(acting(weak.policy), 0.5, varied)(seen.copy())
    assert torch.equal(some[TOKENS][..., varied], every[TOKENS][..., varied])
    likeliest = acting(weak.policy).get_dist(seen).logits.argmax(-1)
    assert torch.equal(some[TOKENS][..., ~varied], likeliest[..., ~varied])
    again = acting(weak.policy).get_dist(seen).log_prob(some[TOKENS])
    torch.testing.assert_close(some[LOG_PROBS], again)


def test_who_is_not_awake_gets_zeros_and_is_not_asked(weak: Checkpoint, seen: TensorDict) -> None:
    awake = torch.arange(LANES) % 3 == 0
    seen[AWAKE] = awake[:, None]
    given = drawn(weak, seen, 0.5, ExplorationType.RANDOM)
    for key in (TOKENS, LOG_PROBS, CHUNK):
        assert (given[key][~awake] == 0).all()
    again = acting(weak.policy).get_dist(seen).log_prob(given[TOKENS])
    torch.testing.assert_close(given[LOG_PROBS][awake], again[awake])
    seen[AWAKE] = torch.zeros(LANES, 1, dtype=torch.bool)
    assert (drawn(weak, seen, 0.5, ExplorationType.RANDOM)[CHUNK] == 0).all()
