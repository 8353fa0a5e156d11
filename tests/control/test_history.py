"""What the robot measured lately, in constant memory: enough to say where it was at any instant of the span."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.history import StateHistory
from vla_runtime.core.state import state_at
from vla_runtime.core.types import RobotState

MS = 1_000_000
SPAN = 250 * MS


def state(stamp_ns: int, seq: int = 0, speed: bool = True, extras: int = 1) -> RobotState:
    at = np.array([stamp_ns * 1e-9, 7.0])
    return RobotState(at, 2 * at if speed else None, stamp_ns, seq, np.full(extras, stamp_ns * 1e-8))


def kept(stamps: list[int], span: int = SPAN) -> StateHistory:
    history = StateHistory(span)
    for stamp in stamps:
        history.add(state(stamp))
    return history


def test_nothing_measured_is_no_history() -> None:
    assert StateHistory(SPAN).track() is None


def test_for_a_policy_that_does_not_look_back_nothing_is_kept() -> None:
    assert kept([0, 10 * MS, 10**18], span=0).track() is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 20 * MS), min_size=1, max_size=400), st.sampled_from([30 * MS, SPAN, 5_000 * MS]))
def test_any_instant_of_the_span_lies_between_two_states_kept(gaps: list[int], span: int) -> None:
    stamps = np.cumsum(gaps).tolist()
    track = kept(stamps, span).track()
    assert (np.diff(track.stamps_ns) > 0).all()
    assert track.stamps_ns[0] <= max(stamps[0], stamps[-1] - span)
    assert set(track.stamps_ns.tolist()) <= set(stamps)
    for stamp in range(max(stamps[0], stamps[-1] - span), stamps[-1] + 1, 7 * MS):
        found = state_at(stamp, state(stamps[-1]), track)
        assert abs(found.position[0] - stamp * 1e-9) < 1e-9
        assert abs(found.velocity[0] - stamp * 2e-9) < 1e-9
        assert abs(found.extras[0] - stamp * 1e-8) < 1e-8


@pytest.mark.parametrize("rate_hz", [50, 250, 1000, 4000])
def test_the_history_stays_small_whatever_the_rate(rate_hz: int) -> None:
    history, sizes = StateHistory(SPAN), set()
    for tick in range(2 * rate_hz):
        history.add(state(round(tick * 1e9 / rate_hz)))
        if tick > rate_hz:
            sizes.add(len(history.track().stamps_ns))
    assert max(sizes) <= 66
    assert min(sizes) >= 0.25 * min(rate_hz, 200)


def test_a_long_span_takes_no_more_than_128_states() -> None:
    assert len(kept(list(range(0, 20_000 * MS, MS)), 10_000 * MS).track().stamps_ns) <= 128


def test_a_state_that_goes_back_in_time_is_not_kept() -> None:
    track = kept([100 * MS, 50 * MS, 99 * MS, 110 * MS]).track()
    assert track.stamps_ns.tolist() == [100 * MS, 110 * MS]


def test_a_track_does_not_change_when_more_is_measured() -> None:
    history = kept([0])
    before = history.track()
    for stamp in range(0, 2_000 * MS, 4 * MS):
        history.add(state(stamp))
    assert before.stamps_ns.tolist() == [0]
    assert before.position.tolist() == [[0.0, 7.0]]


def test_states_of_another_form_begin_anew() -> None:
    history = kept([0])
    history.add(state(10 * MS, speed=False, extras=0))
    track = history.track()
    assert track.stamps_ns.tolist() == [10 * MS]
    assert track.velocity is None
    assert track.extras.shape == (1, 0)
