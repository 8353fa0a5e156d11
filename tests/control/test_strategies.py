"""Chunk strategies: pure functions of chunks and time. What overlaps becomes one motion."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.interpolation import Trajectory
from vla_runtime.control.strategies import Blend, Ensemble, Latest, Plan, Strategy
from vla_runtime.core.types import ActionChunk

DT, H = 1000, 8
ROWS, FADE = 4, 4 * DT
ALL = [Latest(), Blend(ROWS, DT), Ensemble(0.01)]


def plan(values, begin_ns: int = 0, takeover_ns: int | None = None, seq: int = 0, coast: float = 0.0) -> Plan:
    """One joint, rows as given."""
    actions = np.array(values, dtype=np.float32).reshape(-1, 1)
    chunk = ActionChunk(actions, begin_ns, DT, seq, seq, "cafe")
    takeover = begin_ns if takeover_ns is None else takeover_ns
    return Plan(chunk, Trajectory(actions, DT, coast_rows=coast), begin_ns, takeover, begin_ns + len(actions) * DT)


def follow(strategy: Strategy, *plans: Plan) -> tuple[Plan, ...]:
    held: tuple[Plan, ...] = ()
    for one in plans:
        held = strategy.follow(held, one)
    return held


rows = st.lists(st.floats(-10, 10, width=32), min_size=H, max_size=H)
histories = st.lists(st.tuples(rows, st.integers(0, 3 * DT), st.integers(0, 4 * DT)), min_size=1, max_size=6)


def plans_of(history) -> list[Plan]:
    """Each begins later than the one before, and takes over some time after it began."""
    made, begin, takeover = [], 0, 0
    for seq, (values, later, delay) in enumerate(history):
        begin += later
        takeover = max(takeover, begin + delay)
        made.append(plan(values, begin, takeover, seq))
    return made


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(ALL), rows, st.integers(0, H * DT - 1))
def test_one_chunk_alone_is_followed_as_it_is(strategy: Strategy, values, at: int) -> None:
    held = follow(strategy, plan(values))
    assert strategy.at(held, at) == plan(values).at(at)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(ALL), histories, st.integers(0, 4 * DT - 1))
def test_the_motion_stays_between_the_chunks_that_it_is_made_of(strategy: Strategy, history, into: int) -> None:
    made = plans_of(history)
    now = made[-1].takeover_ns + into
    if now >= made[-1].end_ns:
        return
    (found,) = strategy.at(follow(strategy, *made), now)
    values = [one.at(now)[0] for one in made]
    assert min(values) - 1e-9 <= found <= max(values) + 1e-9


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ALL), histories)
def test_the_newest_chunk_counts_last_and_plans_are_not_changed(strategy: Strategy, history) -> None:
    made = plans_of(history)
    held = follow(strategy, *made)
    assert held[-1].chunk is made[-1].chunk
    again = follow(strategy, *made)
    assert [(one.chunk, one.fade_ns) for one in again] == [(one.chunk, one.fade_ns) for one in held]


@settings(deadline=None, max_examples=200)
@given(rows, st.integers(0, 3 * DT), st.sampled_from(ALL), st.integers(0, 4 * DT))
def test_chunks_that_agree_leave_no_trace_of_a_seam(values, begin: int, strategy: Strategy, into: int) -> None:
    """Both say the same function of time: a straight line."""
    first = plan([10.0 + i for i in range(H)], 0, 0)
    second = plan([10.0 + begin / DT + i for i in range(H)], begin, begin, 1)
    now = begin + into
    (found,) = strategy.at(follow(strategy, first, second), min(now, (H - 1) * DT))
    assert found == pytest.approx(10.0 + min(now, (H - 1) * DT) / DT, abs=1e-5)


def test_the_latest_jumps_at_once() -> None:
    held = follow(Latest(), plan([0.0] * H), plan([1.0] * H, 2 * DT, 3 * DT, 1))
    assert Latest().at(held, 3 * DT) == [1.0]
    assert len(held) == 1


def test_a_blend_begins_on_the_old_path_and_ends_on_the_new_one() -> None:
    blend = Blend(ROWS, DT)
    held = follow(blend, plan([0.0] * H), plan([1.0] * H, 2 * DT, 3 * DT, 1))
    assert blend.at(held, 3 * DT) == [0.0]
    assert blend.at(held, 3 * DT + FADE // 2) == [0.5]
    assert blend.at(held, 3 * DT + FADE) == [1.0]


@settings(deadline=None, max_examples=100)
@given(st.integers(0, FADE - 1))
def test_the_weight_of_a_blend_is_the_step_of_least_jerk(into: int) -> None:
    blend = Blend(ROWS, DT)
    held = follow(blend, plan([0.0] * H), plan([1.0] * H, 0, DT, 1))
    x = into / FADE
    assert blend.at(held, DT + into)[0] == pytest.approx(10 * x**3 - 15 * x**4 + 6 * x**5, abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(histories)
def test_a_blend_never_jumps(history) -> None:
    """At each takeover the action is what it would have been without the new chunk, also where that has run out."""
    blend, held = Blend(ROWS, DT), ()
    for one in plans_of(history):
        before = blend.at(held, one.takeover_ns) if held else one.at(one.takeover_ns)
        held = blend.follow(held, one)
        assert blend.at(held, one.takeover_ns) == before


def test_a_plan_that_has_run_out_is_faded_from_on_its_way_to_rest() -> None:
    blend = Blend(ROWS, DT)
    old = plan([float(i) for i in range(H)], coast=ROWS)
    held = follow(blend, old, plan([50.0] * H, 9 * DT, 9 * DT, 1))
    assert blend.at(held, 9 * DT) == old.at(9 * DT)
    assert 7.0 < old.at(9 * DT)[0] < old.at(11 * DT)[0] == old.at(20 * DT)[0] == 7.0 + ROWS / 3
    assert blend.at(held, 9 * DT + FADE) == [50.0]


def test_a_fade_that_is_not_over_is_what_the_next_one_fades_from() -> None:
    blend = Blend(ROWS, DT)
    first, second = plan([0.0] * H), plan([1.0] * H, 0, DT, 1)
    third = plan([5.0] * H, 0, DT + FADE // 2, 2)
    held = follow(blend, first, second, third)
    assert len(held) == 3
    assert blend.at(held, DT + FADE // 2) == [0.5]
    assert len(blend.follow(held, plan([2.0] * H, 2 * DT, 6 * DT, 3))) == 3


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 3), st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=5), st.integers(0, 2 * DT))
def test_an_ensemble_is_acts_weighted_mean(decay: float, values, into: int) -> None:
    ensemble = Ensemble(decay)
    held = follow(ensemble, *[plan([value] * H, seq, seq, seq) for seq, value in enumerate(values)])
    weights = [math.exp(-decay * i) for i in range(len(values))]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert ensemble.at(held, len(values) + into)[0] == pytest.approx(expected, abs=1e-9)


def test_an_ensemble_forgets_what_has_no_row_for_now() -> None:
    ensemble = Ensemble(0.0)
    held = follow(ensemble, plan([0.0] * H), plan([1.0] * H, 4 * DT, 4 * DT, 1))
    assert ensemble.at(held, 7 * DT) == [0.5]
    assert ensemble.at(held, 7 * DT + 1) == [1.0]
    assert ensemble.at(held, 12 * DT - 1) == [1.0]
    assert len(ensemble.follow(held, plan([2.0] * H, 8 * DT, 8 * DT, 2))) == 2


def test_a_plan_that_ends_early_for_its_age_is_not_averaged_on() -> None:
    ensemble = Ensemble(0.0)
    old = replace(plan([0.0] * H), end_ns=2 * DT)
    held = follow(ensemble, old, plan([1.0] * H, DT, DT, 1))
    assert ensemble.at(held, 2 * DT) == [1.0]
