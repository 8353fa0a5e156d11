import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.sim_arm.world import HIGH, LOW, arm
from vla_runtime.plugins.devices.sim_arm.expert import LAG_S
from vla_runtime.plugins.devices.sim_arm.kinematics import JOINTS, joints_for
from vla_runtime.plugins.devices.sim_arm.scene import Place, Scene
from vla_runtime.plugins.devices.sim_arm.tasks import TASKS

AWAY = {colour: Place(0.34, 0.1 * i) for i, colour in enumerate(("red", "green", "blue"), start=-1)}


@given(st.floats(0.22, 0.46), st.floats(-0.17, 0.17), st.floats(0.01, 0.24), st.floats(-1.5, 1.5))
@settings(max_examples=100, deadline=None)
def test_the_inverse_kinematics_agree_with_the_model(x, y, z, hand):
    joints = joints_for(x, y, z, hand)
    assert all(low <= value <= high for low, value, high in zip(LOW, joints, HIGH, strict=False))
    SCENE.reset(np.array([*joints, 0.04]), AWAY, None, 0.0)
    assert np.allclose(SCENE.tcp, (x, y, z), atol=1e-9)
    assert np.allclose(SCENE._tcp.xmat.reshape(3, 3)[:, 2], (0, 0, -1), atol=1e-9)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_a_point_out_of_reach_still_gives_a_pose_inside_the_model(x, y, z):
    assert np.isfinite(joints_for(x, y, z, 0.0)).all()


SCENE = Scene()


def test_the_model_names_its_joints_as_the_kinematics_do():
    assert [SCENE.model.actuator(i).name for i in range(7)] == list(JOINTS)
    assert np.allclose(SCENE.low, LOW)
    assert np.allclose(SCENE.high, HIGH)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_plan_starts_where_the_arm_is_and_stays_inside_the_limits(task):
    device = arm()
    for seed in range(5):
        device.reset(seed, TASKS[task][0])
        chunk = device.demonstrate(np.arange(0, 3.0, 0.05))
        assert (chunk >= LOW).all()
        assert (chunk <= HIGH).all()
        assert np.abs(chunk[0] - device.measure()[0]).max() < 0.12
        speed = np.abs(np.diff(chunk, axis=0)).max(axis=0) / 0.05
        assert (speed[:6] < 1.5).all()
        assert speed[6] < 0.1


def test_asking_the_expert_changes_nothing():
    device = arm()
    device.reset(2, TASKS["push"][1])
    before = device._scene.snapshot().qpos
    one = device.demonstrate(np.arange(16) * 0.05)
    assert np.array_equal(before, device._scene.snapshot().qpos)
    assert np.array_equal(one, device.demonstrate(np.arange(16) * 0.05))
    assert np.allclose(one[::2], device.demonstrate(np.arange(0, 16, 2) * 0.05))


@pytest.mark.parametrize("joint", range(7))
def test_every_joint_lags_behind_its_command_by_what_the_expert_leads(joint):
    """A ramp of 0.4 rad/s, or 0.04 m/s: the distance to the command is the speed times the lag."""
    device = arm()
    device.reset(0, TASKS["reach"][0])
    command = np.array([*joints_for(0.3, 0.0, 0.2, 0.0), 0.02])
    for _ in range(300):
        device.step(command)
    speed = 0.04 if joint == 6 else 0.4
    for _ in range(150):
        command[joint] += speed * device.period_ns * 1e-9
        device.step(command)
    lag_s = (command[joint] - device.measure()[0][joint]) / speed
    assert abs(lag_s + device.period_ns * 1e-9 / 2 - LAG_S) < 0.006
