"""Behaviour cloning learns from real rows only."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vla_runtime.learn import toy
from vla_runtime.learn.bc import Diverged, Fit, make_loss, train
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.keys import ACTION, CHUNK, IS_PAD, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.recipes import TOY, train_toy
from vla_runtime.learn.scaling import Scaling


def test_padded_rows_give_no_gradient() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    policy = build_policy(spec, seed=0)
    batch = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 24)[torch.arange(24)]
    spoilt = batch.clone()
    spoilt[CHUNK][spoilt[IS_PAD]] += 1000.0
    assert batch[IS_PAD].any()

    def gradients(sample: object) -> list[torch.Tensor]:
        policy.zero_grad()
        make_loss(policy)(sample)["loss_bc"].backward()
        return [p.grad.clone() for p in policy.parameters()]

    for clean, dirty in zip(gradients(batch), gradients(spoilt), strict=True):
        assert torch.equal(clean, dirty)


def test_real_rows_do_count() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    policy = build_policy(spec, seed=0)
    batch = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 24)[torch.arange(24)]
    spoilt = batch.clone()
    spoilt[CHUNK][~spoilt[IS_PAD]] += 1000.0
    loss = make_loss(policy)
    assert loss(spoilt)["loss_bc"] > loss(batch)["loss_bc"] + 900.0


def test_a_short_run_improves_and_is_reproducible() -> None:
    recipe = replace(TOY, steps=40, batch_size=64)
    torch.manual_seed(1)
    first = train_toy(recipe, seed=7)
    torch.manual_seed(2)
    second = train_toy(recipe, seed=7)
    untrained = train_toy(replace(recipe, steps=1), seed=7)
    assert first.training["loss"] < 0.6 * untrained.training["loss"]
    for a, b in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nan_in_the_samples_is_refused_by_name() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    data[STATE][0, 0, 0] = float("nan")
    buffer = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 256)
    with pytest.raises(NotFinite, match=r"the state holds NaN or infinite values in a0\.position"):
        train(build_policy(spec, seed=0), buffer, steps=2)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    policy = build_policy(spec, seed=0)
    next(policy.parameters()).data.fill_(float("nan"))
    buffer = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 256)
    with pytest.raises(Diverged, match="the loss became nan at step 0"):
        train(policy, buffer, steps=2)


def test_a_gradient_that_is_not_finite_ends_the_training_and_leaves_the_weights() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])
    policy = build_policy(spec, seed=0)
    fit = Fit(policy, sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 8), steps=2)
    before = [p.detach().clone() for p in policy.parameters()]
    next(policy.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(Diverged, match=r"the gradient became (nan|inf) at step 0"):
        fit.step()
    assert all(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


def test_every_step_depends_on_seed_and_number_alone() -> None:
    data = toy.collect(4, 6)
    spec = make_spec(toy.facts(), data[STATE], data[ACTION])

    def steps(fit: Fit, count: int) -> list[float]:
        torch.rand(3)
        return [fit.step()["loss"] for _ in range(count)]

    def fit(seed: int = 3) -> Fit:
        buffer = sample_buffer(chunked(data, 8), Scaling.from_spec(spec), 8)
        return Fit(build_policy(spec, seed=0), buffer, steps=6, seed=seed)

    whole = steps(fit(), 6)
    first, second = fit(), fit()
    begun = steps(first, 2)
    second.load_state_dict(first.state_dict())
    assert begun + steps(second, 4) == whole
    assert steps(fit(seed=4), 6) != whole


def test_training_leaves_the_callers_generator_alone() -> None:
    before = torch.random.get_rng_state()
    train_toy(replace(TOY, steps=2, batch_size=8), seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)
