"""Between rows: on the grid the row itself, off it a point between its two rows, at the end the last row."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vla_runtime.control.interpolation import linear

chunks = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 4)),
    elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
)
steps = st.integers(1, 10**9)


@settings(deadline=None, max_examples=200)
@given(chunks, steps)
def test_a_row_on_the_grid_is_exact(actions, dt: int) -> None:
    for row in range(len(actions)):
        found = linear(actions, row * dt, dt)
        assert found.dtype == np.float64
        assert np.array_equal(found, actions[row].astype("f8"))


@settings(deadline=None, max_examples=300)
@given(chunks, steps, st.floats(0, 1, exclude_max=True))
def test_between_two_rows_lies_between_the_two_rows(actions, dt: int, share: float) -> None:
    elapsed = min(int(share * len(actions) * dt), len(actions) * dt - 1)
    row = elapsed // dt
    here, there = actions[row].astype("f8"), actions[min(row + 1, len(actions) - 1)].astype("f8")
    found = linear(actions, elapsed, dt)
    slack = np.maximum(np.abs(here), np.abs(there)) * 1e-15
    assert (found >= np.minimum(here, there) - slack).all()
    assert (found <= np.maximum(here, there) + slack).all()


@settings(deadline=None, max_examples=100)
@given(chunks, steps, st.floats(0, 1, exclude_max=True))
def test_the_last_row_is_held_and_nothing_is_extrapolated(actions, dt: int, share: float) -> None:
    elapsed = (len(actions) - 1) * dt + min(int(share * dt), dt - 1)
    assert np.array_equal(linear(actions, elapsed, dt), actions[-1].astype("f8"))


def test_a_quarter_of_the_way_is_a_quarter_of_the_way() -> None:
    actions = np.array([[0, 8], [4, -8]], dtype=np.float32)
    assert linear(actions, 5, 20).tolist() == [1.0, 4.0]
    assert linear(actions, 15, 20).tolist() == [3.0, -4.0]


def test_the_chunk_itself_is_never_handed_out() -> None:
    actions = np.ones((2, 2), dtype=np.float32)
    linear(actions, 0, 10)[:] = 7
    assert (actions == 1).all()
