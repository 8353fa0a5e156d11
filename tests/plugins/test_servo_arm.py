"""The simulated arm does what its options say, the same way every time."""

import numpy as np
import pytest

from vla_runtime.app.build import device_context
from vla_runtime.app.load import load_config
from vla_runtime.core.errors import ConfigError, Refusal
from vla_runtime.core.protocols import DeviceCamera, DeviceContext
from vla_runtime.plugins.devices.servo_arm import ServoArm
from vla_runtime.plugins.registry import plugin_options

TWO = DeviceContext(("a", "b"), (-1.0, 0.0), (1.0, 2.0), (), (DeviceCamera("front", 8, 12, 30.0),))
POSES = {"left": (1.0, 0.5), "right": (-1.0, 0.5)}


def arm(context=TWO, **options):
    return ServoArm(plugin_options(ServoArm, options, "$.device.options"), context)


def shipped(name):
    config = load_config(name)
    return arm(device_context(config), **config.device.options)


def drive(device, goal, steps=1000):
    for step in range(steps):
        if device.task()[1]:
            return step
        device.step(np.array(goal))
    return steps


@pytest.mark.parametrize("task", ["track", "pose"])
def test_the_same_seed_is_the_same_episode_in_any_process_and_another_is_another(task):
    def episode(seed):
        device = shipped("tracker") if task == "track" else arm(task="pose", poses=POSES)
        device.reset(seed, "" if task == "track" else "left")
        seen = []
        for _ in range(20):
            device.step(device.measure()[0] + 0.001)
            seen.append([*device.measure()[0], *device.measure()[2], *device.capture(device.cameras[0].name)().flat])
        return np.array(seen)

    assert np.array_equal(episode(3), episode(3))
    assert not np.array_equal(episode(3), episode(4))


def test_a_joint_covers_63_percent_of_its_way_in_one_time_constant():
    device = arm(rate_hz=1000, time_constant_s=0.05, start=[0, 0])
    for _ in range(50):
        device.step(np.array([1.0, 0.5]))
    assert np.allclose(device.measure()[0], (1 - np.exp(-1)) * np.array([1.0, 0.5]))


def test_without_a_time_constant_it_follows_at_once():
    device = arm(rate_hz=100, time_constant_s=0)
    device.step(np.array([0.3, 0.7]))
    position, velocity, _ = device.measure()
    assert position.tolist() == [0.3, 0.7]
    assert np.allclose(velocity, [30.0, -30.0])


def test_it_starts_in_the_middle_of_its_limits_or_where_it_is_told():
    assert arm().measure()[0].tolist() == [0.0, 1.0]
    assert arm(start=[0.5, 0.5]).measure()[0].tolist() == [0.5, 0.5]


def test_a_named_pose_is_reached_and_counted():
    device = arm(rate_hz=100, time_constant_s=0.02, task="pose", poses=POSES, tolerance=0.05, success_steps=5)
    device.reset(0, "left")
    steps = drive(device, POSES["left"])
    assert 5 < steps < 40
    assert device.task() == (steps, True, True)


def test_another_pose_than_the_named_one_is_no_success():
    device = arm(rate_hz=100, time_constant_s=0, task="pose", poses=POSES, max_steps=30)
    device.reset(0, "left")
    assert drive(device, POSES["right"]) == 30
    assert device.task() == (30, True, False)


def test_success_takes_consecutive_steps():
    device = arm(rate_hz=100, time_constant_s=0, task="pose", poses=POSES, success_steps=3, tolerance=0.1)
    device.reset(0, "left")
    for command in ("left", "left", "right") * 3:
        device.step(np.array(POSES[command]))
    assert device.task() == (9, False, False)


def test_the_target_that_the_state_shows_is_the_one_to_track():
    device = shipped("tracker")
    for seed in range(5):
        device.reset(seed, "")
        target = device.measure()[2]
        assert (np.abs(target) <= 0.5).all()
        assert drive(device, target) == 4
        assert device.task() == (4, True, True)


def test_time_without_commands_is_no_step():
    device = shipped("tracker")
    device.step(None)
    assert device.task() == (0, False, False)


def test_without_a_task_there_is_none():
    assert arm().task() is None


def test_an_unknown_pose_is_refused_with_the_known_ones():
    device = arm(task="pose", poses=POSES)
    with pytest.raises(Refusal, match="no pose for instruction 'up'; it knows 'left', 'right'"):
        device.reset(0, "up")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": [0]}, "$.device.options.start: a pose of 1 values, the robot has 2 joints"),
        ({"start": [0, 3]}, "$.device.options.start: b at 3.0 is outside its limits [0.0, 2.0]"),
        ({"poses": {"up": [0, 3]}}, "$.device.options.poses.up: b at 3.0 is outside its limits [0.0, 2.0]"),
        ({"task": "pose"}, "$.device.options.poses: task 'pose' needs at least one pose"),
        ({"task": "track"}, "$.extras: task 'track' measures 2 extras, the config names 0"),
        ({"task": "pusch"}, "$.device.options.task: 'pusch' is not possible; valid: none, pose, track"),
        ({"rate_hz": 0}, "$.device.options.rate_hz: expected `float` >= 1.0, got 0"),
        ({"time_constant_s": -1}, "$.device.options.time_constant_s: expected `float` >= 0.0, got -1"),
        ({"time_constant_s": float("nan")}, "$.device.options.time_constant_s: nan, expected a finite number"),
        ({"success_steps": 0}, "$.device.options.success_steps: expected `int` >= 1, got 0"),
        ({"max_steps": -1}, "$.device.options.max_steps: expected `int` >= 0, got -1"),
        ({"speed": 1}, "$.device.options.speed: unknown key; valid: max_steps, poses, rate_hz"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_their_place(options, said):
    with pytest.raises(ConfigError) as caught:
        arm(**options)
    assert said in str(caught.value)
