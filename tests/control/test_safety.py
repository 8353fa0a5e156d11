"""The rules choose a target that may be reached; a robot that limits its speed alone never moves faster."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.control.safety import FiniteRule, JointLimits, LeadRule, PositionRule, VelocityLimiter, default_chain
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.types import Intervention

from .envelope import excess, worst

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


def limits(**more) -> JointLimits:
    return JointLimits(JOINTS, np.array(LOW), np.array(HIGH), np.array(VELOCITY), **more)


def begun(pose):
    chain = default_chain(limits(), PERIOD_NS)
    chain.begin(np.array(pose))
    return chain


@settings(deadline=None, max_examples=500)
@given(poses, st.lists(st.tuples(targets, targets, targets), min_size=1, max_size=40))
def test_nothing_sent_is_ever_outside_limits(pose, wanted) -> None:
    chain = begun(pose)
    sent = [chain.follow(np.array(target), np.array(pose)).command for target in wanted]
    assert not worst(excess(sent, pose, PERIOD_NS / 1e9, LOW, HIGH, VELOCITY))


def test_a_million_adversarial_joint_commands_stay_inside() -> None:
    rng = np.random.default_rng(0)
    low, high, velocity = (np.tile(values, 100) for values in (LOW, HIGH, VELOCITY))
    wide = JointLimits(tuple(map(str, range(300))), low, high, velocity)
    chain = default_chain(wide, PERIOD_NS)
    hard = np.array([*HARD, *LOW, *HIGH])
    pose = rng.uniform(low, high)
    chain.begin(pose)
    sent = []
    for _ in range(3500):
        target = rng.normal(size=300) * 10.0 ** rng.integers(-320, 300, size=300)
        target = np.where(rng.random(300) < 0.3, rng.choice(hard, 300), target)
        target = np.where(rng.random(300) < 0.3, rng.uniform(low - 1, high + 1), target)
        sent.append(chain.follow(target, pose).command)
    assert not worst(excess(sent, pose, PERIOD_NS / 1e9, low, high, velocity))


@settings(deadline=None, max_examples=500)
@given(poses, st.tuples(targets, targets, targets))
def test_interventions_name_exactly_what_was_changed(pose, wanted) -> None:
    verdict = begun(pose).follow(np.array(wanted), np.array(pose))
    expected, next_to_nothing = set(), 1e-6
    for joint, target, before, low, high, velocity in zip(JOINTS, wanted, pose, LOW, HIGH, VELOCITY, strict=True):
        if not math.isfinite(target):
            expected.add(("finite", joint))
            continue  # The previous command is inside the limits and no step away.
        inside = min(max(target, low), high)
        if abs(inside - target) > next_to_nothing:
            expected.add(("position", joint))
        if abs(inside - before) - velocity * (PERIOD_NS * 1e-9) > next_to_nothing:
            expected.add(("velocity", joint))
    found = {(change.rule, change.joint) for change in verdict.interventions}
    assert found == expected
    assert len(verdict.interventions) == len(expected)
    unchanged = [joint not in {name for _, name in expected} for joint in JOINTS]
    assert np.allclose(verdict.command[unchanged], np.array(wanted)[unchanged], rtol=0, atol=next_to_nothing)


@settings(deadline=None, max_examples=100)
@given(poses, poses)
def test_a_reachable_target_inside_the_limits_is_reached_and_then_kept(pose, target) -> None:
    chain, wanted, previous = begun(pose), np.array(target), np.array(pose)
    for _ in range(220):
        distance = np.abs(wanted - previous)
        previous = chain.follow(wanted, previous).command
        assert (np.abs(wanted - previous) <= distance).all()
    assert previous[0] == wanted[0]
    assert previous[2] == wanted[2]
    verdict = chain.follow(previous, previous)
    assert verdict.interventions == ()
    assert np.array_equal(verdict.command, previous)
    assert chain.arrived
    assert chain.resting


def test_rules_act_in_order_and_each_says_so() -> None:
    pose = (0.5, 0.5, 0.0)
    verdict = begun(pose).follow(np.array([math.nan, 0.5, 1e308]), np.array(pose))
    assert verdict.command.tolist() == [0.5, 0.5, 7e5]
    assert verdict.interventions == (Intervention("finite", "base"), Intervention("position", "grip"))
    verdict = begun(pose).follow(np.array([9.0, 0.5, 0.0]), np.array(pose))
    assert verdict.command.tolist() == [0.51, 0.5, 0.0]
    assert verdict.interventions == (Intervention("position", "base"), Intervention("velocity", "base"))


def test_the_target_handed_in_is_left_as_it_was() -> None:
    wanted, pose = np.array([9.0, math.nan, 0.0]), np.array([0.0, 0.5, 0.0])
    begun(pose).follow(wanted, pose)
    assert np.array_equal(wanted, [9.0, math.nan, 0.0], equal_nan=True)
    assert pose.tolist() == [0.0, 0.5, 0.0]


def test_each_rule_alone() -> None:
    pose = [0.0, 0.5, 0.0]
    assert FiniteRule().apply([math.nan, math.inf, 3.0], pose, pose) == [0.0, 0.5, 3.0]
    assert PositionRule(limits()).apply([-7.0, 0.3, 8e5], pose, pose) == [-1.0, 0.3, 7e5]
    lead = LeadRule(limits(lead=np.array([0.1, math.inf, 2.0])))
    assert lead.apply([-7.0, 0.7, 3.0], pose, pose) == [-0.1, 0.7, 2.0]
    limiter = VelocityLimiter(limits(), PERIOD_NS)
    limiter.begin(pose)
    assert limiter.follow([-7.0, 0.5, 3.0]) == [-0.01, 0.5, 3.0]
    assert limiter.brake() == [-0.01, 0.5, 3.0]


def test_a_rule_with_nothing_against_a_target_hands_it_on_itself() -> None:
    target = [0.5, 0.5, 1.0]
    for rule in (FiniteRule(), PositionRule(limits()), LeadRule(limits(lead=np.array([1.0, 1.0, 1.0])))):
        assert rule.apply(target, [0.0, 0.5, 0.0], [0.0, 0.5, 0.0]) is target


@given(poses, st.tuples(*(st.floats(-1e6, 1e6) for _ in JOINTS)), st.tuples(targets, targets, targets))
def test_a_target_is_near_the_measured_pose_unless_that_is_itself_outside(wanted, here, odd) -> None:
    lead = (0.25, 0.125, 1e3)
    rule = LeadRule(limits(lead=np.array(lead)))
    for measured in (here, odd):
        allowed = rule.apply(list(wanted), list(wanted), list(measured))
        for x, y, place, most, low, high in zip(wanted, allowed, measured, lead, LOW, HIGH, strict=True):
            assert low <= y <= high
            if low <= place <= high:
                assert abs(y - place) <= most * (1 + 1e-9)
            else:
                assert y == x


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["low", "high", "velocity", "acceleration", "jerk"])
def test_a_limit_that_is_no_number_is_refused_with_its_joint(which: str, bad: float) -> None:
    values = {name: np.ones(3) for name in ("high", "velocity", "acceleration", "jerk")} | {"low": -np.ones(3)}
    values[which][1] = bad
    with pytest.raises(ConfigError, match="elbow") as refused:
        JointLimits(JOINTS, **values)
    assert str(bad) in str(refused.value)


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0])
def test_a_lead_that_permits_nothing_is_refused_with_its_joint(bad: float) -> None:
    with pytest.raises(ConfigError, match="elbow"):
        limits(lead=np.array([1.0, bad, 1.0]))


@pytest.mark.parametrize(("low", "high", "velocity"), [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0, 1, -1)])
def test_limits_that_permit_nothing_are_refused(low: float, high: float, velocity: float) -> None:
    with pytest.raises(ConfigError, match="'base'"):
        JointLimits(("base",), np.array([low]), np.array([high]), np.array([velocity]))


@pytest.mark.parametrize("missing", ["acceleration", "jerk"])
def test_acceleration_and_jerk_come_together(missing: str) -> None:
    both = {"acceleration": np.ones(3), "jerk": np.ones(3)} | {missing: None}
    with pytest.raises(ConfigError, match="both or none"):
        limits(**both)


@pytest.mark.parametrize("which", ["low", "high", "velocity", "acceleration", "jerk", "lead"])
@pytest.mark.parametrize("size", [2, 4])
def test_limits_of_another_number_of_joints_are_refused(which: str, size: int) -> None:
    values = {name: np.ones(3) for name in ("high", "velocity", "acceleration", "jerk", "lead")} | {"low": -np.ones(3)}
    values[which] = np.resize(values[which], size)
    with pytest.raises(ConfigError, match=rf"{which} limits of shape \({size},\), .* 3 joints"):
        JointLimits(JOINTS, **values)
