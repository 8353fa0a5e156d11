"""NaN and infinity are refused, everything else is not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.learn.finite import NotFinite, refuse_not_finite

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.lists(FINITE, min_size=3, max_size=3), max_size=5))
def test_finite_values_pass_even_where_their_sum_overflows(rows: list[list[float]]) -> None:
    refuse_not_finite(torch.tensor(rows), "the action")
    refuse_not_finite(torch.full((4, 2), torch.finfo(torch.float32).max), "the action")


@given(st.sampled_from([float("nan"), float("inf"), float("-inf")]), st.integers(0, 2), st.integers(0, 4))
def test_one_value_that_is_not_finite_is_refused_by_the_name_of_its_dimension(
    bad: float, dimension: int, row: int
) -> None:
    values = torch.randn(5, 3)
    values[row, dimension] = bad
    with pytest.raises(NotFinite, match="the action holds NaN") as caught:
        refuse_not_finite(values, "the action", ["x", "y", "z"])
    assert caught.value.dimensions == ("xyz"[dimension],)


def test_infinities_that_cancel_each_other_out_are_refused() -> None:
    with pytest.raises(NotFinite):
        refuse_not_finite(torch.tensor([[float("inf")], [float("-inf")]]), "the state")
