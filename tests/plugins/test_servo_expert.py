"""The servo arm's own expert: from wherever it is, straight to the goal, slowly enough to be followed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.core.protocols import Demonstrator, DeviceContext
from vla_runtime.plugins.devices.servo_arm import ServoArm

LOW, HIGH = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 1.0, 0.1])
CONTEXT = DeviceContext(("base", "elbow", "gripper"), tuple(LOW), tuple(HIGH), (), ())
TRACKING = DeviceContext(CONTEXT.joints, CONTEXT.low, CONTEXT.high, ("x", "y", "z"), ())
FAR, NEAR = (1.5, -0.8, 0.02), (0.1, 0.1, 0.05)
POSES = {"far": FAR, "near": NEAR}

shares = st.floats(0, 1).map(lambda share: np.float64(share))
places = st.tuples(shares, shares, shares).map(lambda share: LOW + (HIGH - LOW) * np.array(share))


def arm(task="pose", context=CONTEXT, **options) -> ServoArm:
    given_options = {"poses": POSES} if task == "pose" else {}
    return ServoArm(ServoArm.Options(task=task, **given_options, **options), context)


def at(place, instruction="far", **options) -> ServoArm:
    device = arm(start=tuple(place), **options)
    device.reset(0, instruction)
    return device


def test_an_arm_with_a_task_demonstrates_it_and_names_its_instructions() -> None:
    assert isinstance(arm(), Demonstrator)
    assert dict(arm().tasks) == {"pose": ("far", "near")}
    assert dict(arm("track", TRACKING).tasks) == {"track": ("push the T-shaped block onto the target",)}
    assert dict(arm("track", TRACKING, track="hold still").tasks) == {"track": ("hold still",)}
    assert not arm("none").tasks


@settings(deadline=None, max_examples=20)
@given(places, st.sampled_from(sorted(POSES)), st.floats(0, 0.2))
def test_from_everywhere_the_expert_alone_succeeds(place, instruction: str, time_constant_s: float) -> None:
    device = at(place, instruction, time_constant_s=time_constant_s, max_steps=1600, tolerance=0.01, success_steps=5)
    while not device.task()[1]:
        device.step(device.demonstrate(np.array([device.period_ns * 1e-9]))[0])
    assert device.task()[2]


@settings(deadline=None, max_examples=100)
@given(places, st.sampled_from(sorted(POSES)), st.floats(0, 0.2))
def test_the_plan_is_inside_the_limits_and_never_faster_than_a_quarter_range_a_second(
    place, instruction: str, time_constant_s: float
) -> None:
    times = np.arange(500) * 0.01
    plan = at(place, instruction, time_constant_s=time_constant_s).demonstrate(times)
    assert plan.shape == (500, 3)
    assert (plan >= LOW - 1e-12).all()
    assert (plan <= HIGH + 1e-12).all()
    assert (np.abs(np.diff(plan, axis=0)) <= 0.25 * (HIGH - LOW) * 0.01 + 1e-12).all()


@settings(deadline=None, max_examples=100)
@given(places, st.floats(0, 3), st.floats(0, 3))
def test_a_plan_made_later_on_the_way_is_the_rest_of_the_one_made_before(place, passed: float, ahead: float) -> None:
    before = at(place, time_constant_s=0)
    later = at(np.clip(before.demonstrate(np.array([passed]))[0], LOW, HIGH), time_constant_s=0)
    expected = before.demonstrate(np.array([passed + ahead]))
    assert later.demonstrate(np.array([ahead])) == pytest.approx(expected, abs=1e-9)


def test_without_a_lag_now_is_where_the_arm_is() -> None:
    assert at((0.5, 0.5, 0.06), time_constant_s=0).demonstrate(np.zeros(1))[0] == pytest.approx((0.5, 0.5, 0.06))
