"""An episode is judged by its group alone, and a group of one outcome judges nobody."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.learn.finite import NotFinite
from vla_runtime.learn.grpo.advantage import group_advantages

group = st.lists(st.sampled_from([0.0, 1.0]), min_size=4, max_size=4)


@given(st.lists(group, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_advantages_are_of_mean_0_and_std_1_in_mixed_groups_and_0_in_others(groups: list[list[float]]) -> None:
    found = group_advantages(torch.tensor(groups))
    assert found.advantage.shape == (4 * len(groups), 1)
    for returns, advantage, keep in zip(groups, found.advantage.reshape(-1, 4), found.keep.reshape(-1, 4), strict=True):
        mixed = len(set(returns)) > 1
        assert keep.tolist() == [mixed] * 4
        assert advantage.mean().item() == pytest.approx(0, abs=1e-6)
        assert advantage.std(correction=0).item() == pytest.approx(float(mixed), abs=1e-6)
        assert ((advantage > 0) == torch.tensor(returns).bool()).all() or not mixed
    assert found.empty == (not found.keep.any())
    flat = group_advantages(torch.tensor(groups).flatten(), 4)
    assert torch.equal(flat.advantage, found.advantage)
    assert torch.equal(flat.keep, found.keep)
    assert torch.equal(found.kept(), found.advantage[found.keep])


@given(st.floats(-1e6, 1e6, width=32), st.integers(2, 9))
@settings(max_examples=50, deadline=None)
def test_equal_returns_of_any_size_teach_nothing(value: float, size: int) -> None:
    found = group_advantages(torch.full((2, size), value))
    assert found.empty
    assert found.advantage.eq(0).all()


def test_returns_need_not_be_binary() -> None:
    found = group_advantages(torch.tensor([[1.0, 2.0, 3.0]]))
    assert found.advantage.flatten().tolist() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])


@pytest.mark.parametrize(
    ("shape", "size"), [((6,), None), ((6,), 4), ((2, 3), 2), ((6, 1), None), ((2, 2, 2), 2), ((), 2), ((4,), 0)]
)
def test_returns_that_are_no_groups_are_refused(shape: tuple[int, ...], size: int | None) -> None:
    with pytest.raises(ValueError, match="returns of shape"):
        group_advantages(torch.zeros(shape), size)


def test_a_return_that_is_no_number_is_refused() -> None:
    with pytest.raises(NotFinite, match="the returns holds NaN"):
        group_advantages(torch.tensor([[0.0, torch.nan]]))
