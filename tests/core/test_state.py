"""The state shown with images is that of their instant, between the two measurements around it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.core.state import state_at
from vla_runtime.core.types import RobotState, StateTrack

STAMPS = st.lists(st.integers(0, 10**15), min_size=2, max_size=20, unique=True).map(sorted)


def line(stamp_ns: int) -> np.ndarray:
    """Where a robot of constant speed is."""
    return np.array([stamp_ns * 1e-9, -2e-9 * stamp_ns + 1])


def measured(stamp_ns: int, speed: bool = True) -> RobotState:
    return RobotState(line(stamp_ns), line(stamp_ns) * 3 if speed else None, stamp_ns, 9, line(stamp_ns)[:1] * 5)


def track(stamps: list[int], speed: bool = True) -> StateTrack:
    states = [measured(stamp) for stamp in stamps]
    return StateTrack(
        np.array(stamps, dtype=np.int64),
        np.array([state.position for state in states]),
        np.array([state.velocity for state in states]) if speed else None,
        np.array([state.extras for state in states]),
    )


@given(STAMPS, st.data())
def test_between_two_measurements_the_state_is_on_the_line_between_them(stamps: list[int], data: st.DataObject) -> None:
    stamp = data.draw(st.integers(stamps[0], stamps[-1]))
    found = state_at(stamp, measured(stamps[-1]), track(stamps[:-1]))
    assert found.stamp_ns == stamp
    for mine, expected in ((found.position, line(stamp)), (found.velocity, 3 * line(stamp))):
        assert np.allclose(mine, expected, rtol=1e-9, atol=1e-9)
    assert np.allclose(found.extras, 5 * line(stamp)[:1], rtol=1e-9, atol=1e-9)


@given(STAMPS, st.integers(1, 10**9))
def test_before_the_oldest_it_is_the_oldest_and_after_the_newest_the_newest(stamps: list[int], by: int) -> None:
    newest = measured(stamps[-1])
    assert state_at(stamps[-1] + by, newest, track(stamps[:-1])) is newest
    assert state_at(stamps[-1], newest, track(stamps)) is newest
    oldest = state_at(stamps[0] - by, newest, track(stamps[:-1]))
    assert oldest.stamp_ns == stamps[0]
    assert np.array_equal(oldest.position, line(stamps[0]))


@given(STAMPS, st.data())
def test_at_a_measurement_it_is_that_measurement_to_the_bit(stamps: list[int], data: st.DataObject) -> None:
    stamp = data.draw(st.sampled_from(stamps))
    found = state_at(stamp, measured(stamps[-1]), track(stamps[:-1]))
    assert found.stamp_ns == stamp
    assert found.position.tobytes() == line(stamp).tobytes()


def test_without_a_history_it_is_the_newest() -> None:
    newest = measured(100)
    assert state_at(50, newest, None) is newest
    assert state_at(50, newest, track([])) is newest


def test_a_robot_that_measures_no_velocity_has_none_in_between() -> None:
    assert state_at(50, measured(100, speed=False), track([0], speed=False)).velocity is None
    assert state_at(50, measured(100), track([0], speed=False)).velocity is None
