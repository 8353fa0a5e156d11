"""Nothing that is sent is ever non-finite, outside the limits or too far from what was sent before."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.safety import FiniteRule, JointLimits, PositionRule, StepRule, default_chain
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.types import Intervention

PERIOD_NS = 5_000_000
JOINTS = ("base", "elbow", "grip")
LOW, HIGH, VELOCITY = (-1.0, 0.25, -3e5), (1.0, 0.75, 7e5), (2.0, 1e-6, 1e9)
HARD = [math.nan, -math.nan, math.inf, -math.inf, 1e308, -1e308, sys.float_info.max, 5e-324, -5e-324, 2.2e-308, -0.0]
targets = st.one_of(
    st.sampled_from(HARD),
    st.floats(),
    st.floats(-2, 2),
    st.sampled_from(LOW + HIGH),
    st.sampled_from([math.nextafter(x, y) for x in LOW + HIGH for y in (-math.inf, math.inf)]),
)
poses = st.tuples(*(st.floats(low, high) for low, high in zip(LOW, HIGH, strict=True)))


def limits() -> JointLimits:
    return JointLimits(JOINTS, np.array(LOW), np.array(HIGH), np.array(VELOCITY))


def assert_may_be_sent(command, previous) -> None:
    """Plain Python, one joint at a time, knowing only the limits."""
    assert len(command) == len(JOINTS)
    for joint, now, before, low, high, velocity in zip(JOINTS, command, previous, LOW, HIGH, VELOCITY, strict=True):
        assert math.isfinite(now), f"{joint}: {now} sent"
        assert low <= now <= high, f"{joint}: {now} sent, limits {low} to {high}"
        room = velocity * PERIOD_NS / 1e9
        rounding = 2 * math.ulp(max(abs(now), abs(before), room))
        assert abs(now - before) <= room + rounding, f"{joint}: {before} to {now} sent, room {room}"


@settings(deadline=None, max_examples=500)
@given(poses, st.lists(st.tuples(targets, targets, targets), min_size=1, max_size=40))
def test_nothing_sent_is_ever_outside_limits(pose, wanted) -> None:
    chain = default_chain(limits(), PERIOD_NS)
    previous = np.array(pose)
    for target in wanted:
        command = chain.filter(np.array(target), previous).command
        assert_may_be_sent(command.tolist(), previous.tolist())
        previous = command


def test_a_million_adversarial_joint_commands_stay_inside() -> None:
    rng = np.random.default_rng(0)
    low, high, velocity = (np.tile(values, 100) for values in (LOW, HIGH, VELOCITY))
    wide = JointLimits(tuple(map(str, range(300))), low, high, velocity)
    chain = default_chain(wide, PERIOD_NS)
    room = velocity * PERIOD_NS / 1e9
    hard = np.array([*HARD, *LOW, *HIGH])
    previous = rng.uniform(low, high)
    for _ in range(3500):
        target = rng.normal(size=300) * 10.0 ** rng.integers(-320, 300, size=300)
        target = np.where(rng.random(300) < 0.3, rng.choice(hard, 300), target)
        target = np.where(rng.random(300) < 0.3, rng.uniform(low - 1, high + 1), target)
        sent = chain.filter(target, previous).command
        assert np.isfinite(sent).all()
        assert ((low <= sent) & (sent <= high)).all()
        assert (np.abs(sent - previous) <= room + 2 * np.spacing(np.maximum(np.abs(sent), room))).all()
        previous = sent


@settings(deadline=None, max_examples=500)
@given(poses, st.tuples(targets, targets, targets))
def test_interventions_name_exactly_what_was_changed(pose, wanted) -> None:
    verdict = default_chain(limits(), PERIOD_NS).filter(np.array(wanted), np.array(pose))
    expected = set()
    for joint, target, before, low, high, velocity in zip(JOINTS, wanted, pose, LOW, HIGH, VELOCITY, strict=True):
        if not math.isfinite(target):
            expected.add(("finite", joint))
            continue  # The previous command is inside the limits and no step away.
        inside = min(max(target, low), high)
        if inside != target:
            expected.add(("position", joint))
        if abs(inside - before) > velocity * (PERIOD_NS * 1e-9):
            expected.add(("step", joint))
    assert {(change.rule, change.joint) for change in verdict.interventions} == expected
    assert len(verdict.interventions) == len(expected)
    unchanged = [joint not in {name for _, name in expected} for joint in JOINTS]
    assert np.array_equal(verdict.command[unchanged], np.array(wanted)[unchanged])


@settings(deadline=None, max_examples=100)
@given(poses, poses)
def test_a_reachable_target_inside_the_limits_is_reached_and_then_kept(pose, target) -> None:
    chain = default_chain(limits(), PERIOD_NS)
    previous, wanted = np.array(pose), np.array(target)
    for _ in range(220):
        distance = np.abs(wanted - previous)
        previous = chain.filter(wanted, previous).command
        assert (np.abs(wanted - previous) <= distance).all()
    assert previous[0] == wanted[0]
    assert previous[2] == wanted[2]
    verdict = chain.filter(previous, previous)
    assert verdict.interventions == ()
    assert np.array_equal(verdict.command, previous)


def test_rules_act_in_order_and_each_says_so() -> None:
    chain = default_chain(limits(), PERIOD_NS)
    verdict = chain.filter(np.array([math.nan, 0.5, 1e308]), np.array([0.5, 0.5, 0.0]))
    assert verdict.command.tolist() == [0.5, 0.5, 7e5]
    assert verdict.interventions == (Intervention("finite", "base"), Intervention("position", "grip"))
    verdict = chain.filter(np.array([9.0, 0.5, 0.0]), np.array([0.5, 0.5, 0.0]))
    assert verdict.command.tolist() == [0.51, 0.5, 0.0]
    assert verdict.interventions == (Intervention("position", "base"), Intervention("step", "base"))


def test_the_target_handed_in_is_left_as_it_was() -> None:
    wanted, previous = np.array([9.0, math.nan, 0.0]), np.array([0.0, 0.5, 0.0])
    default_chain(limits(), PERIOD_NS).filter(wanted, previous)
    assert np.array_equal(wanted, [9.0, math.nan, 0.0], equal_nan=True)
    assert previous.tolist() == [0.0, 0.5, 0.0]


def test_each_rule_alone() -> None:
    previous = np.array([0.0, 0.5, 0.0])
    assert FiniteRule().apply(np.array([math.nan, math.inf, 3.0]), previous).tolist() == [0.0, 0.5, 3.0]
    assert PositionRule(limits()).apply(np.array([-7.0, 0.3, 8e5]), previous).tolist() == [-1.0, 0.3, 7e5]
    stepped = StepRule(limits(), PERIOD_NS).apply(np.array([-7.0, 0.5, 3.0]), previous)
    assert stepped.tolist() == [-0.01, 0.5, 3.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["low", "high", "velocity"])
def test_a_limit_that_is_no_number_is_refused_with_its_joint(which: str, bad: float) -> None:
    values = {"low": np.array(LOW), "high": np.array(HIGH), "velocity": np.array(VELOCITY)}
    values[which][1] = bad
    with pytest.raises(ConfigError, match="elbow") as refused:
        JointLimits(JOINTS, **values)
    assert str(bad) in str(refused.value)


@pytest.mark.parametrize(("low", "high", "velocity"), [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0, 1, -1)])
def test_limits_that_permit_nothing_are_refused(low: float, high: float, velocity: float) -> None:
    with pytest.raises(ConfigError, match="'base'"):
        JointLimits(("base",), np.array([low]), np.array([high]), np.array([velocity]))


@pytest.mark.parametrize("which", ["low", "high", "velocity"])
@pytest.mark.parametrize("size", [2, 4])
def test_limits_of_another_number_of_joints_are_refused(which: str, size: int) -> None:
    values = {"low": np.array(LOW), "high": np.array(HIGH), "velocity": np.array(VELOCITY)}
    values[which] = np.resize(values[which], size)
    with pytest.raises(ConfigError, match=rf"{which} limits of shape \({size},\), .* 3 joints"):
        JointLimits(JOINTS, **values)
