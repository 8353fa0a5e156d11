"""Whatever is wanted, commands stay inside the limits on position, velocity, acceleration and jerk."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from vla_runtime.control.safety import JointLimits, default_chain

from .envelope import excess, worst

LOW, HIGH = -1.0, 1.0


def limits(velocity: float = 1.5, acceleration: float = 15.0, jerk: float = 2000.0, joints: int = 1) -> JointLimits:
    names = tuple(f"j{i}" for i in range(joints))
    values = (LOW, HIGH, velocity, acceleration, jerk)
    return JointLimits(names, *(np.full(joints, value) for value in values))


def run(wanted, chain_limits: JointLimits, period_s: float, pose: float = 0.0):
    """The commands f64[N, D] for ``wanted`` [N], None where nothing is wanted."""
    chain = default_chain(chain_limits, round(period_s * 1e9))
    start = np.full(len(chain_limits.joints), pose)
    chain.begin(start)
    sent = []
    for x in wanted:
        verdict = chain.brake() if x is None else chain.follow(np.full(len(start), x), start)
        sent.append(verdict.command)
    return np.array(sent), chain


def broken(sent, lim: JointLimits, period_s: float, pose: float = 0.0) -> str:
    start = np.full(len(lim.joints), pose)
    return worst(excess(sent, start, period_s, lim.low, lim.high, lim.velocity, lim.acceleration, lim.jerk))


value = st.one_of(
    st.floats(-1.5, 1.5), st.sampled_from([math.nan, math.inf, -math.inf, 1e300, LOW, HIGH, 0.0]), st.none()
)
# Nothing, a jump, a hold, a ramp: pieces of an adversary's wish.
piece = st.tuples(value, st.integers(1, 30), st.floats(-3, 3))


def wish(pieces, period_s: float) -> list[float | None]:
    return [None if x is None else x + speed * k * period_s for x, count, speed in pieces for k in range(count)]


@settings(deadline=None, max_examples=400)
@given(
    st.lists(piece, min_size=1, max_size=12),
    st.floats(0.05, 20),
    st.floats(0.5, 200),
    st.floats(5, 20_000),
    st.sampled_from([0.001, 0.005, 0.01, 0.02]),
    st.floats(LOW, HIGH),
)
def test_no_wish_takes_a_command_out_of_any_limit(pieces, velocity, acceleration, jerk, period_s, pose) -> None:
    lim = limits(velocity, acceleration, jerk)
    sent, _ = run(wish(pieces, period_s), lim, period_s, pose)
    assert not broken(sent, lim, period_s, pose)
    target(float(np.abs(np.diff(sent[:, 0], n=3)).max() / period_s**3 / jerk) if len(sent) > 3 else 0.0)


@settings(deadline=None, max_examples=200)
@given(st.lists(piece, min_size=1, max_size=8), st.floats(0.2, 5), st.floats(1, 100), st.floats(20, 5000))
def test_from_everywhere_it_comes_to_rest_inside_the_limits_and_stays(pieces, velocity, acceleration, jerk) -> None:
    lim = limits(velocity, acceleration, jerk)
    longest_s = velocity / acceleration + 3 * acceleration / jerk + 0.05
    stop = [None] * math.ceil(longest_s / 0.01)
    sent, chain = run([*wish(pieces, 0.01), *stop, None, None], lim, 0.01)
    assert chain.resting
    assert sent[-1].tolist() == sent[-2].tolist() == sent[-3].tolist()
    assert not broken(sent, lim, 0.01)


def test_at_a_limit_it_has_slowed_down_in_time() -> None:
    lim = limits()
    sent, chain = run([5.0] * 300, lim, 0.01)
    assert sent[-1, 0] == HIGH
    assert chain.resting
    speed = np.diff(sent[:, 0]) / 0.01
    assert speed.max() == pytest.approx(1.5)
    assert speed[-1] == 0
    assert (np.diff(speed)[np.argmax(speed) :] <= 1e-9).all(), "no second run at the limit"


def test_a_motion_inside_the_limits_is_followed_without_lag_and_without_intervention() -> None:
    lim, k = limits(joints=7), np.arange(400)
    wanted = 0.3 * (1 - np.cos(2 * np.pi * 0.5 * k * 0.01))
    chain = default_chain(lim, 10_000_000)
    chain.begin(np.zeros(7))
    for x in wanted:
        verdict = chain.follow(np.full(7, x), np.zeros(7))
        assert np.abs(verdict.command - x).max() < 1e-3
        assert verdict.interventions == ()


def test_a_steady_motion_is_met_and_then_followed_bit_for_bit() -> None:
    wanted = [0.5 * k * 0.01 - 0.5 for k in range(250)]
    sent, _ = run(wanted, limits(), 0.01, pose=-0.5)
    assert sent[60:, 0].tolist() == wanted[60:]


def test_a_jump_is_made_up_for_without_overshoot() -> None:
    sent, _ = run([0.3] * 100, limits(), 0.01)
    assert sent[-1, 0] == 0.3
    assert sent.max() <= 0.3
    assert (np.diff(sent[:, 0]) >= -1e-12).all()


def test_noise_on_a_target_at_rest_does_not_add_up() -> None:
    rng = np.random.default_rng(0)
    sent, _ = run(rng.normal(size=2000) * 0.002, limits(jerk=500.0), 0.01)
    assert np.abs(sent).max() < 0.03


def test_joints_do_not_wait_for_each_other() -> None:
    chain = default_chain(limits(joints=2), 10_000_000)
    chain.begin(np.zeros(2))
    for _ in range(40):
        verdict = chain.follow(np.array([0.2, 0.9]), np.zeros(2))
    alone, _ = run([0.2] * 40, limits(), 0.01)
    assert verdict.command[0] == alone[-1, 0]


@pytest.mark.parametrize(
    ("jump", "kwargs", "rule"),
    [
        (0.5, {}, "velocity"),
        (0.012, {}, "acceleration"),
        (0.008, {"acceleration": 1e4, "jerk": 1000.0}, "jerk"),
    ],
)
def test_an_intervention_names_the_limit_that_was_in_the_way(jump: float, kwargs, rule: str) -> None:
    chain = default_chain(limits(**kwargs), 10_000_000)
    chain.begin(np.zeros(1))
    verdict = chain.follow(np.array([jump]), np.zeros(1))
    assert [change.rule for change in verdict.interventions] == [rule]


def test_the_same_wishes_give_the_same_commands() -> None:
    rng = np.random.default_rng(3)
    wanted = (rng.normal(size=500).cumsum() * 0.1).tolist()
    first, second = (run(wanted, limits(), 0.005)[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("shift", [-4.0, -1.0, 0.0, 1.0, 4.0])
def test_the_way_does_not_depend_on_where_the_joint_counts_from(shift: float) -> None:
    """Ranges that do not hold zero are as good as any: up to a limit, back to the other, to rest between them."""
    lim = limits()
    moved = JointLimits(lim.joints, lim.low + shift, lim.high + shift, lim.velocity, lim.acceleration, lim.jerk)
    wanted = [1.0] * 200 + [-1.0] * 250 + [0.25] * 150
    here, _ = run(wanted, lim, 0.01)
    there, _ = run([x + shift for x in wanted], moved, 0.01, pose=shift)
    assert np.abs(there - shift - here).max() < 1e-6
    assert there[[199, 449, 599], 0] == pytest.approx([1.0 + shift, -1.0 + shift, 0.25 + shift], abs=1e-9)
