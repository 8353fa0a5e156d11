"""A token head learns the demonstrated bins, and nothing from padded rows."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from vla_runtime.learn import toy
from vla_runtime.learn.bc import make_loss, train
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import ACTION, CHUNK, IS_PAD, STATE
from vla_runtime.learn.neighbours import neighbours
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.token_loss import TokenLoss

BINS = 16


@pytest.fixture
def policy() -> FusedPolicy:
    data = toy.collect(4, 6)
    return build_policy(make_spec(toy.facts(), data[STATE], data[ACTION], "tokens"), seed=0, num_bins=BINS)


@pytest.fixture
def batch() -> TensorDict:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], "tokens")
    found = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 24)[torch.arange(24)]
    assert found[IS_PAD].any()
    return found


def test_without_spread_it_is_the_cross_entropy_of_the_demonstrated_bins(
    policy: FusedPolicy, batch: TensorDict
) -> None:
    tokens = policy.action_tokenizer.encode(batch[CHUNK])
    logits = policy(batch.clone(), logits_only=True)["vla_action", "logits"]
    real = ~batch[IS_PAD]
    expected = torch.nn.functional.cross_entropy(logits[real].flatten(0, 1), tokens[real].flatten())
    torch.testing.assert_close(TokenLoss(policy, spread=0)(batch)["loss_tokens"], expected)


def test_soft_labels_are_distributions_that_peak_at_the_demonstrated_bin_and_fall_on_both_sides() -> None:
    labels = neighbours(BINS, 2.0)
    torch.testing.assert_close(labels.sum(-1), torch.ones(BINS))
    assert torch.equal(labels.argmax(-1), torch.arange(BINS))
    assert (labels[8].diff()[:8] > 0).all()
    assert (labels[8].diff()[8:] < 0).all()
    torch.testing.assert_close(labels[8, 10] / labels[8, 8], torch.tensor(-0.5).exp())
    assert torch.equal(neighbours(BINS, 0.0), torch.eye(BINS))


def test_padded_rows_give_no_gradient_whatever_they_hold(policy: FusedPolicy, batch: TensorDict) -> None:
    spoilt = batch.clone()
    spoilt[CHUNK][spoilt[IS_PAD]] = float("nan")

    def gradients(sample: TensorDict) -> list[torch.Tensor]:
        policy.zero_grad()
        make_loss(policy)(sample)["loss_tokens"].backward()
        return [p.grad.clone() for p in policy.parameters()]

    clean = gradients(batch)
    assert any(part.abs().max() > 0 for part in clean)
    assert all(torch.equal(a, b) for a, b in zip(clean, gradients(spoilt), strict=True))


def test_a_chunk_that_is_not_finite_is_not_taken_for_a_token(policy: FusedPolicy, batch: TensorDict) -> None:
    for value in (float("nan"), float("inf")):
        spoilt = batch.clone()
        spoilt[CHUNK][0, 0, 0] = value
        assert make_loss(policy)(spoilt)["loss_tokens"].isnan()


def test_training_comes_to_the_demonstrated_bins(policy: FusedPolicy) -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], "tokens")
    buffer = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 24)
    losses = train(policy, buffer, steps=60, lr=1e-2)
    assert losses[-1] < 0.8 * losses[0]
    batch = buffer[torch.arange(24)]
    demonstrated = batch[CHUNK].clone()
    # The policy writes its own chunk over the demonstrated one.
    errors = (policy(batch)[CHUNK] - demonstrated).abs()[~batch[IS_PAD]]
    width = (policy.action_tokenizer.high - policy.action_tokenizer.low) / BINS
    assert (errors / width).mean() < 1.0


def test_nan_in_the_samples_is_refused_by_name(policy: FusedPolicy) -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION], "tokens")
    samples = chunked(data, 8)
    samples[CHUNK][:, 0] = float("nan")
    with pytest.raises(NotFinite, match="the action holds NaN or infinite values in a0, a1, a2, a3"):
        train(policy, sample_buffer(samples, Scaling.from_spec(spec), 8), steps=1)


def test_a_policy_without_a_token_head_or_a_spread_out_of_range_is_refused(policy: FusedPolicy) -> None:
    with pytest.raises(ValueError, match="spread is -1, expected 0 to 1"):
        TokenLoss(policy, spread=-1)
    data = toy.collect(2, 4)
    continuous = build_policy(make_spec(toy.facts(), data[STATE], data[ACTION]), seed=0)
    with pytest.raises(ValueError, match="given: 'continuous'"):
        TokenLoss(continuous)
