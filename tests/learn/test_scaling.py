"""Normalisation refuses what would poison it, and never blows a still joint up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import Compose

from vla_runtime.core.errors import PolicyFileError, Refusal
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.keys import ACTION, CHUNK, STATE
from vla_runtime.learn.recipes import TOY, train_toy
from vla_runtime.learn.scaling import STD_FLOOR, Scaling, statistics
from vla_runtime.learn.summary import Summary

NAMES = ("x", "y")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    values = torch.zeros(4, 2)
    values[2, 1] = bad
    with pytest.raises(ValueError, match=r"the state holds NaN or infinite values in y"):
        statistics(values, NAMES, "the state")


def test_a_wrong_number_of_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the action has 3 dimensions, expected 2: x, y"):
        statistics(torch.zeros(4, 3), NAMES, "the action")


def test_a_constant_dimension_gets_the_floor() -> None:
    mean, std = statistics(torch.tensor([[1.0, 0.0], [1.0, 10.0]]), NAMES, "the state")
    assert mean.tolist() == [1.0, 5.0]
    assert std.tolist() == pytest.approx([STD_FLOOR, 5.0])


def test_a_rare_outlier_does_not_make_the_rest_explode() -> None:
    values = torch.zeros(100_000, 2)
    values[0, 0] = 100.0
    assert statistics(values, NAMES, "the state")[1][0].item() == pytest.approx(1.0)


def test_the_contract_carries_the_scaling_to_the_last_bit() -> None:
    random = torch.Generator().manual_seed(0)
    spec = make_spec(toy.facts(), torch.randn(50, 8, generator=random), torch.randn(50, 4, generator=random))
    scaling = Scaling.from_spec(type(spec).from_json(spec.to_json()))
    assert scaling.normalisation() == spec.normalisation
    action = torch.randn(5, 8, 4, generator=random)
    back = scaling.denormalise_action(scaling.data_chunk().normalize(action))
    assert torch.allclose(back, action, atol=1e-6)


def test_the_contract_states_the_range_of_the_data() -> None:
    actions = torch.tensor([[-1.0, 0.0, 2.0, 3.0], [1.0, 0.5, 2.5, 4.0]])
    spec = make_spec(toy.facts(), torch.zeros(2, 8), actions)
    assert [(a.low, a.high) for a in spec.actions] == [(-1.0, 1.0), (0.0, 0.5), (2.0, 2.5), (3.0, 4.0)]


# Five rows from 0 to 4, and one dimension that never moves.
RAMP = torch.stack([torch.arange(5.0), torch.ones(5)], -1)


def skewed(rows: int = 1001) -> Tensor:
    """0 to 1000, and one value far out."""
    values = torch.arange(rows, dtype=torch.float32).unsqueeze(-1)
    values[-1] = 1e6
    return values


@pytest.mark.parametrize(
    ("mode", "loc", "scale"),
    [("mean_std", 2.0, 2**0.5), ("min_max", 2.0, 2.0), ("quantiles", 2.0, (3.96 - 0.04) / 2)],
)
def test_each_mode_is_affine_and_floors_what_stands_still(mode: str, loc: float, scale: float) -> None:
    found_loc, found_scale = Summary.of(RAMP, NAMES, "it").affine(mode)
    assert found_loc.tolist() == pytest.approx([loc, 1.0])
    assert found_scale.tolist() == pytest.approx([scale, STD_FLOOR])


def test_the_range_of_the_data_becomes_minus_one_to_one() -> None:
    loc, scale = Summary.of(skewed(), ("x",), "it").affine("min_max")
    normalised = (skewed() - loc) / scale
    assert normalised.min().item() == pytest.approx(-1.0)
    assert normalised.max().item() == pytest.approx(1.0)


def test_quantiles_do_not_see_an_outlier_and_the_floor_is_still_kept() -> None:
    summary = Summary.of(torch.cat([skewed()[:-1], torch.full((1, 1), 1500.0)]), ("x",), "it")
    loc, scale = summary.affine("quantiles")
    assert loc.item() == pytest.approx(500.0, abs=1)
    assert scale.item() == pytest.approx(490.0, abs=1)
    _, far = Summary.of(skewed(), ("x",), "it").affine("quantiles")
    assert far.item() == pytest.approx(STD_FLOOR * 1e6)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantiles"])
def test_a_kept_dimension_is_left_as_it_is(mode: str) -> None:
    loc, scale = Summary.of(RAMP + 7, NAMES, "it").affine(mode, keep=("x",))
    assert (loc[0].item(), scale[0].item()) == (0.0, 1.0)
    assert loc[1].item() == 8.0


def test_numbers_computed_elsewhere_give_the_same_normalisation() -> None:
    seen = Summary.of(RAMP, NAMES, "it")
    numbers = {what: getattr(seen, what).tolist() for what in ("mean", "std", "low", "high", "q01", "q99")}
    for mode in ("mean_std", "min_max", "quantiles"):
        for one, other in zip(Summary.stated(NAMES, **numbers).affine(mode), seen.affine(mode), strict=True):
            assert torch.equal(one, other)
    with pytest.raises(NotFinite, match="q99 holds NaN or infinite values in y"):
        Summary.stated(NAMES, **{**numbers, "q99": [1.0, float("nan")]})
    with pytest.raises(ValueError, match="low has 1 values, expected 2: x, y"):
        Summary.stated(NAMES, **{**numbers, "low": [1.0]})


def test_four_vectors_are_a_scaling_without_a_clamp() -> None:
    scaling = Scaling(torch.zeros(2), torch.ones(2), torch.ones(1), torch.full((1,), 2.0))
    assert scaling.normalisation().clamp is None
    assert scaling.denormalise_action(torch.tensor([[3.0]])).item() == 7.0
    with pytest.raises(NotFinite, match="the normalised action holds NaN or infinite values in dimension 0"):
        scaling.denormalise_action(torch.tensor([[float("nan")]]))


def contract(**further: object) -> PolicySpec:
    random = torch.Generator().manual_seed(0)
    states, actions = torch.randn(50, 8, generator=random), torch.randn(50, 4, generator=random)
    return make_spec(toy.facts(), states, 3 * actions, **further)


def test_training_chooses_the_normalisation_that_the_contract_then_states() -> None:
    data = toy.collect(8, 6)
    recipe = replace(TOY, scaling="quantiles", keep=("a1", "target3"), clamp=1.5)
    spec = recipe.contract(toy.facts(), data[STATE], data[ACTION])
    assert (spec.normalisation.mode, spec.normalisation.keep) == ("quantiles", ("a1", "target3"))
    assert spec.normalisation.clamp == 1.5
    assert spec.normalisation.action_mean[1] == spec.normalisation.state_mean[7] == 0.0
    assert spec.normalisation.action_std[1] == spec.normalisation.state_std[7] == 1.0
    assert Scaling.from_spec(PolicySpec.from_json(spec.to_json())).normalisation() == spec.normalisation


def test_a_recipe_trains_with_the_normalisation_it_chooses() -> None:
    made = train_toy(replace(TOY, steps=2, scaling="min_max", keep=("a2",), clamp=1.5))
    stated = made.spec.normalisation
    assert (stated.mode, stated.keep, stated.clamp) == ("min_max", ("a2",), 1.5)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"keep": ("gripper",)}, "keeps gripper, no action and no state input"),
        ({"clamp": 0.0}, "clamp is 0, expected a number above 0"),
        ({"clamp": float("nan")}, "clamp is nan, expected"),
    ],
)
def test_a_normalisation_that_makes_no_sense_is_refused(further: dict, message: str) -> None:
    with pytest.raises(PolicyFileError, match=message):
        contract(**further)


def test_normalised_values_are_clamped_on_every_path_and_kept_ones_are_not() -> None:
    scaling = Scaling.from_spec(contract(keep=("a0", "target0"), clamp=0.5))
    far = torch.full((2, 8), 100.0)
    state = scaling.normalise_state(far)
    assert state[:, [0, 1, 2, 3, 5, 6, 7]].eq(0.5).all()
    assert state[:, 4].eq(100.0).all()
    assert torch.equal(scaling.observation_norm()(TensorDict({STATE: far}, [2]))[STATE], state)
    chunk = scaling.data_chunk()(TensorDict({CHUNK: -far[:, None, :4]}, [2]))[CHUNK]
    assert chunk[..., 1:].eq(-0.5).all()
    assert chunk[..., 0].eq(-100.0).all()
    edge = scaling.action_mean + 0.5 * scaling.action_std
    done = scaling.denormalise_action(far[:, :4])
    assert torch.equal(done[:, 1:], edge[1:].expand(2, 3))
    assert done[:, 0].eq(100.0).all()
    assert torch.equal(scaling.env_action().inv(TensorDict({ACTION: far[:, :4]}, [2]))[ACTION], done)


def test_without_a_clamp_nothing_is_limited() -> None:
    scaling = Scaling.from_spec(contract())
    far = torch.full((1, 4), 1e6)
    assert torch.equal(scaling.denormalise_action(far), far * scaling.action_std + scaling.action_mean)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_passes_no_transform(bad: float) -> None:
    scaling = Scaling.from_spec(contract(clamp=2.0))
    state, action = torch.zeros(2, 8), torch.zeros(2, 4)
    state[1, 5], action[1, 2] = bad, bad
    with pytest.raises(NotFinite, match="the state holds NaN or infinite values in target1"):
        scaling.observation_norm()(TensorDict({STATE: state}, [2]))
    with pytest.raises(NotFinite, match="the action holds NaN or infinite values in a2") as caught:
        scaling.data_chunk()(TensorDict({CHUNK: action}, [2]))
    assert caught.value.dimensions == ("a2",)
    assert isinstance(caught.value, Refusal)
    with pytest.raises(NotFinite, match="the normalised action holds NaN or infinite values in a2"):
        scaling.env_action().inv(TensorDict({ACTION: action}, [2]))


def test_samples_without_what_is_normalised_are_refused_with_what_they_hold() -> None:
    scaling = Scaling.from_spec(contract())
    with pytest.raises(KeyError, match=r"'observation', 'state'\) is not in the samples.*action"):
        scaling.observation_norm()(TensorDict({ACTION: torch.zeros(2, 4)}, [2]))
    with pytest.raises(KeyError, match=r"'vla_action', 'chunk'\) is not in the samples.*action"):
        scaling.data_chunk()(TensorDict({ACTION: torch.zeros(2, 4)}, [2]))


def test_an_env_is_normalised_and_clamped_too() -> None:
    scaling = Scaling.from_spec(contract(clamp=0.01))
    env = TransformedEnv(toy.make_env([3], seed=0), Compose(scaling.observation_norm(), scaling.env_action()))
    states = env.rollout(3)[STATE]
    assert states.abs().max().item() == pytest.approx(0.01)
