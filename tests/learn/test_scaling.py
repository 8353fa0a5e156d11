"""Normalisation refuses what would poison it, and never blows a still joint up."""

from __future__ import annotations

import pytest
import torch

from vla_runtime.learn import toy
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.scaling import STD_FLOOR, Scaling, statistics

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
