"""Between rows: on the grid the row itself, off it a smooth way from row to row, at the end the last row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vla_runtime.control.interpolation import INTERPOLATIONS, Trajectory

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 4))
any_chunks = hnp.arrays(np.float32, SHAPES, elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
chunks = hnp.arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=32))
steps = st.integers(1, 10**9)
kinds = st.sampled_from(INTERPOLATIONS)
EDGE = 1e-7


def at(actions, elapsed_ns: int, dt_ns: int, kind: str = "linear") -> np.ndarray:
    return np.array(Trajectory(actions, dt_ns, [kind] * actions.shape[1]).at(elapsed_ns))


@settings(deadline=None, max_examples=200)
@given(any_chunks, steps, kinds)
def test_a_row_on_the_grid_is_exact(actions, dt: int, kind: str) -> None:
    for row in range(len(actions)):
        found = at(actions, row * dt, dt, kind)
        assert found.dtype == np.float64
        assert np.array_equal(found, actions[row].astype("f8"))


@settings(deadline=None, max_examples=300)
@given(any_chunks, steps, st.floats(0, 1, exclude_max=True), st.sampled_from(["linear", "hold"]))
def test_lines_and_held_rows_never_leave_their_two_rows(actions, dt: int, share: float, kind: str) -> None:
    elapsed = min(int(share * len(actions) * dt), len(actions) * dt - 1)
    row = elapsed // dt
    here, there = actions[row].astype("f8"), actions[min(row + 1, len(actions) - 1)].astype("f8")
    found = at(actions, elapsed, dt, kind)
    slack = np.maximum(np.abs(here), np.abs(there)) * 1e-15
    assert (found >= np.minimum(here, there) - slack).all()
    assert (found <= np.maximum(here, there) + slack).all()


@settings(deadline=None, max_examples=100)
@given(any_chunks, steps, st.floats(0, 1, exclude_max=True), kinds, st.integers(0, 10**10))
def test_the_last_row_is_held_and_nothing_is_extrapolated(
    actions, dt: int, share: float, kind: str, after: int
) -> None:
    elapsed = (len(actions) - 1) * dt + min(int(share * dt), dt - 1) + after
    assert np.array_equal(at(actions, elapsed, dt, kind), actions[-1].astype("f8"))


@settings(deadline=None, max_examples=200)
@given(chunks, kinds)
def test_no_curve_jumps_at_a_row_and_only_a_held_one_steps(actions, kind: str) -> None:
    dt = 10**9
    for row in range(1, len(actions)):
        before = at(actions, row * dt - 1, dt, kind)
        if kind == "hold":
            assert np.array_equal(before, actions[row - 1].astype("f8"))
        else:
            assert before == pytest.approx(actions[row].astype("f8"), abs=1e-5)


def slopes(actions, instant_ns: int, dt: int, kind: str, h: int) -> tuple[np.ndarray, np.ndarray]:
    """One-sided first derivatives, per row, just before and just after an instant."""
    points = [at(actions, instant_ns + k * h, dt, kind) for k in (-1, 0, 1)]
    return (points[1] - points[0]) * dt / h, (points[2] - points[1]) * dt / h


@settings(deadline=None, max_examples=100)
@given(chunks, st.sampled_from(["cubic", "min_jerk"]))
def test_curves_pass_every_inner_row_at_the_slope_between_its_neighbours(actions, kind: str) -> None:
    dt, h = 10**9, 10**4
    for row in range(1, len(actions) - 1):
        expected = (actions[row + 1].astype("f8") - actions[row - 1]) / 2
        for found in slopes(actions, row * dt, dt, kind, h):
            assert found == pytest.approx(expected, abs=0.05)


@settings(deadline=None, max_examples=100)
@given(chunks)
def test_min_jerk_is_continuous_in_acceleration(actions) -> None:
    dt, h = 10**9, 10**6
    for row in range(1, len(actions) - 1):
        points = [at(actions, row * dt + k * h, dt, "min_jerk") for k in (-2, -1, 0, 1, 2)]
        before = (points[0] - 2 * points[1] + points[2]) * (dt / h) ** 2
        after = (points[2] - 2 * points[3] + points[4]) * (dt / h) ** 2
        assert before == pytest.approx(after, abs=0.02 * max(1.0, float(np.abs(actions).max())) * 10)


def test_a_cubic_reproduces_a_parabola_and_min_jerk_too_away_from_the_ends() -> None:
    t = np.arange(8.0)
    actions = np.stack([t**2 - 3 * t], axis=1).astype(np.float32)
    for kind in ("cubic", "min_jerk"):
        for u in (2.25, 3.5, 4.75):
            assert at(actions, int(u * 1000), 1000, kind) == pytest.approx([u**2 - 3 * u], abs=1e-9)


def test_min_jerk_has_no_more_jerk_than_any_other_way_between_the_same_ends() -> None:
    """Of all paths with the same position, slope and curvature at both rows: add any bump that keeps those."""
    actions = np.array([[0], [1], [3], [2], [2]], dtype=np.float32)
    u = np.linspace(0, 1, 2001)
    path = np.array([at(actions, round((1 + x) * 10**9), 10**9, "min_jerk")[0] for x in u[:-1]] + [3.0])

    def jerk(values: np.ndarray) -> float:
        third = np.gradient(np.gradient(np.gradient(values, u), u), u)[10:-10]
        return float((third**2).mean())

    for size in (-0.5, -0.05, 0.05, 0.5):
        assert jerk(path) < jerk(path + size * u**3 * (1 - u) ** 3 * 20)


def test_a_quarter_of_the_way_is_a_quarter_of_the_way() -> None:
    actions = np.array([[0, 8], [4, -8]], dtype=np.float32)
    for kind in ("linear", "cubic", "min_jerk"):
        assert at(actions, 5, 20, kind).tolist() == [1.0, 4.0]
        assert at(actions, 15, 20, kind).tolist() == [3.0, -4.0]


@settings(deadline=None, max_examples=100)
@given(chunks, st.data(), st.floats(0, 1, exclude_max=True))
def test_every_joint_goes_its_own_way(actions, data, share: float) -> None:
    chosen = [data.draw(kinds) for _ in range(actions.shape[1])]
    elapsed = int(share * len(actions) * 1000)
    found = Trajectory(actions, 1000, chosen).at(elapsed)
    for joint, kind in enumerate(chosen):
        assert found[joint] == pytest.approx(at(actions[:, joint : joint + 1], elapsed, 1000, kind)[0], abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(chunks, kinds, st.floats(0.5, 20), st.integers(0, 40))
def test_a_path_that_coasts_slows_down_to_rest_and_goes_a_third_of_the_way(actions, kind, rows: float, x: int) -> None:
    path = Trajectory(actions, 1000, [kind] * actions.shape[1], rows)
    last = actions[-1].astype("f8")
    slope = last - actions[-2] if len(actions) > 1 and kind != "hold" else np.zeros_like(last)
    first, here, there = (np.array(path.at((len(actions) - 1) * 1000 + k * 500)) for k in (0, x, x + 1))
    assert np.array_equal(first, last)
    assert (np.abs(there - here) <= np.abs(slope) / 2 + 1e-9).all()
    assert (np.abs(here - last) <= np.abs(slope) * rows / 3 + 1e-9).all()
    if x >= 2 * rows:
        assert np.array_equal(here, there)
        assert here == pytest.approx(last + slope * rows / 3, abs=1e-9)
