"""The soft mask of real-time chunking, and the choice among draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.rtc import nearest, prefix_weights
from vla_runtime.core.types import Continuation


@st.composite
def masks(draw):
    rows = draw(st.integers(1, 64))
    return rows, draw(st.integers(0, rows)), draw(st.integers(0, rows))


def test_the_mask_has_the_papers_values() -> None:
    assert prefix_weights(8, 2, 6).round(3).tolist() == np.float32([1, 1, 0.571, 0.287, 0.114, 0.026, 0, 0]).tolist()


@given(masks())
def test_the_mask_falls_from_one_to_zero(mask) -> None:
    rows, delay, overlap = mask
    weights = prefix_weights(rows, delay, overlap)
    assert weights.shape == (rows,)
    assert weights.dtype == np.float32
    assert ((weights >= 0) & (weights <= 1)).all()
    assert (np.diff(weights) <= 0).all()


@given(masks())
def test_the_mask_is_one_exactly_on_the_rows_that_will_have_been_executed(mask) -> None:
    rows, delay, overlap = mask
    assert ((prefix_weights(rows, delay, overlap) == 1) == (np.arange(rows) < delay)).all()


@given(masks())
def test_no_row_beyond_the_old_plan_is_bound_but_those_executed_by_then(mask) -> None:
    rows, delay, overlap = mask
    bound = prefix_weights(rows, delay, overlap) > 0
    assert (bound == (np.arange(rows) < max(delay, overlap))).all()


@pytest.mark.parametrize(("delay", "overlap", "named"), [(-1, 2, "delay"), (9, 2, "delay"), (2, 9, "overlap")])
def test_a_mask_beyond_the_chunk_is_refused(delay: int, overlap: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} is .*, expected 0 to the chunk length 8"):
        prefix_weights(8, delay, overlap)


def continued(rows) -> Continuation:
    return Continuation(np.array(rows, dtype=np.float32), 1, prefix_weights(len(rows), 1, len(rows)))


def test_the_draw_that_is_what_is_committed_is_the_nearest() -> None:
    told = np.arange(12, dtype=np.float32).reshape(6, 2)
    draws = np.stack([told + 1, told, told - 0.1]).astype(np.float32)
    assert nearest(draws, continued(told), np.ones(2, dtype=np.float32)) == 1


def test_rows_count_by_their_weight_and_joints_in_units_of_their_spread() -> None:
    told = np.zeros((3, 2), dtype=np.float32)
    draws = np.zeros((2, 3, 2), dtype=np.float32)
    draws[0, 0, 0], draws[1, 2, 0] = 0.5, 0.9  # off early by little, off late by more
    assert nearest(draws, continued(told), np.ones(2, dtype=np.float32)) == 1
    draws = np.zeros((2, 3, 2), dtype=np.float32)
    draws[0, 0, 0], draws[1, 0, 1] = 0.5, 5.0
    assert nearest(draws, continued(told), np.array([0.01, 10.0], dtype=np.float32)) == 1


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_of_equal_draws_it_is_the_first(count: int, seed: int) -> None:
    draw = np.random.RandomState(seed).standard_normal((1, 4, 2)).astype(np.float32)
    draws = np.repeat(draw, count, axis=0)
    assert nearest(draws, continued(np.zeros((4, 2))), np.ones(2, dtype=np.float32)) == 0
