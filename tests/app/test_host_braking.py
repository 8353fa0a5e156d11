"""A host that is asked for a controlled stop brings the robot to rest inside its limits, and only then stops it."""

import threading
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.app.config import JointConfig
from vla_runtime.app.host.braking import Braking
from vla_runtime.app.host.server import RobotHost
from vla_runtime.app.load import load_config
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.core.protocols import StopCategory
from vla_runtime.plugins.devices.servo_arm import ServoArm
from vla_runtime.plugins.robots.host import HostRobot

T_NS = 10_000_000
LOW, HIGH, VELOCITY, ACCELERATION, JERK = -1.0, 1.0, 1.5, 15.0, 2000.0


def limits(*more: float) -> JointLimits:
    return JointLimits(("j",), *(np.array([value]) for value in (LOW, HIGH, VELOCITY, *more)))


def moving(wish: list[float]) -> list[np.ndarray]:
    """What a loop commands on the way to ``wish``."""
    chain = default_chain(limits(ACCELERATION, JERK), T_NS)
    chain.begin(np.zeros(1))
    return [chain.follow(np.array([x]), np.zeros(1)).command for x in wish]


def braked(commands: list[np.ndarray], braking: Braking) -> list[float]:
    for command in commands:
        braking.took(command)
    assert braking.begin(T_NS, T_NS // 2)
    found = []
    while (command := braking.next()) is not None:
        found.append(float(command[0]))
        assert len(found) < 1_000
    assert not braking.active
    return found


@given(st.lists(st.tuples(st.floats(-2, 2), st.integers(1, 20)), min_size=1, max_size=6))
def test_from_any_motion_it_rests_inside_the_limits(pieces) -> None:
    commands = moving([x for x, count in pieces for _ in range(count)])
    if len(commands) < 4 or abs(commands[-1][0] - commands[-2][0]) < 1e-6:
        return
    before = [float(command[0]) for command in commands]
    way = np.array(before + braked(commands, Braking(limits(ACCELERATION, JERK), T_NS)))
    assert way.min() >= LOW
    assert way.max() <= HIGH
    speed = np.diff(way) / 0.01
    assert np.abs(speed).max() <= VELOCITY * 1.01
    # What the host knows of the motion is what it saw of it, right to within a tick; at a limit that may end it early.
    if way[-1] not in (LOW, HIGH):
        assert np.abs(np.diff(speed) / 0.01).max() <= ACCELERATION * 1.6
        assert abs(speed[-1]) <= ACCELERATION * 0.01


@pytest.mark.parametrize("sign", [1, -1])
def test_a_robot_that_is_being_turned_round_with_little_jerk_goes_on_as_it_went(sign: int) -> None:
    """Fading, its acceleration adds more than the limit: that bounds the speed it turns to, not the one it has."""
    slow = limits(ACCELERATION, 50.0)
    here, step, turn = 0.2 * sign, -1.0 * sign * 0.01, 14.0 * sign * 0.01**2
    commands = [np.array([here - 2 * step + turn]), np.array([here - step]), np.array([here])]
    way = np.array([here, *braked(commands, Braking(slow, T_NS))])
    assert (way[1] - way[0]) * sign < 0
    assert np.abs(np.diff(way, n=2)).max() / 0.01**2 <= ACCELERATION * 1.6


def test_a_robot_at_rest_has_nothing_to_brake() -> None:
    braking = Braking(limits(ACCELERATION, JERK), T_NS)
    for _ in range(3):
        braking.took(np.array([0.5]))
    assert not braking.begin(T_NS, 0)


def test_a_robot_that_has_stood_at_its_last_command_is_not_set_off_again() -> None:
    braking = Braking(limits(ACCELERATION, JERK), T_NS)
    for command in moving([1.0] * 20):
        braking.took(command)
    assert not braking.begin(T_NS, 2 * T_NS)
    assert braking.begin(T_NS, T_NS)


def test_without_limits_on_acceleration_the_drive_takes_the_step() -> None:
    braking = Braking(limits(), T_NS)
    for command in moving([1.0] * 20):
        braking.took(command)
    assert not braking.begin(T_NS, 0)


class Recording(ServoArm):
    """Writes down what it is told."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.told: list[object] = []

    def step(self, command) -> None:
        self.told.append(None if command is None else float(command[0]))
        super().step(command)

    def stop(self, category) -> None:
        self.told.append(category)
        super().stop(category)


@pytest.mark.parametrize("category", list(StopCategory))
def test_the_device_is_stopped_when_it_rests_and_at_once_for_category_0(category: StopCategory, tmp_path) -> None:
    config = load_config("tracker")
    joints = tuple(
        JointConfig(joint.name, joint.unit, (-50, 50), 10.0, 1.0, acceleration=50.0, jerk=5_000.0)
        for joint in config.joints
    )
    config = msgspec.structs.replace(config, joints=joints, cameras=(), extras=())
    config = msgspec.structs.replace(config, device=msgspec.structs.replace(config.device, dead_man_ms=2_000.0))
    from vla_runtime.app.build import device_context

    options = ServoArm.Options(rate_hz=100, start=(0.0,) * 4)
    device = Recording(options, device_context(config))
    host = RobotHost(config, device, tmp_path, lambda line: None)
    over = threading.Event()
    thread = threading.Thread(target=host.serve, args=(over.is_set,))
    thread.start()
    robot = HostRobot(f"ipc://{tmp_path}/robot", config.joint_names, config.extras, T_NS)
    try:
        robot.connect()
        robot.reset(0, 0, config.instruction)
        for k in range(30):
            robot.write(np.full(4, 0.05 * k), time.monotonic_ns())
            time.sleep(0.01)
        robot.stop(category)
        end = time.monotonic() + 20
        while not any(isinstance(told, StopCategory) for told in device.told) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        robot.close()
        over.set()
        thread.join()
    at = next(i for i, told in enumerate(device.told) if isinstance(told, StopCategory))
    assert device.told[at] is category
    beyond = [told for told in device.told[:at] if told is not None and told > 0.05 * 29 + 1e-9]
    if category is StopCategory.IMMEDIATE:
        assert beyond == []
    else:
        assert len(beyond) > 5
        steps = np.diff([0.05 * 29, *beyond])
        assert (steps >= -1e-9).all()
        assert steps[-1] < 0.25 * steps.max()
    assert host.report.dead_man_ms == []
