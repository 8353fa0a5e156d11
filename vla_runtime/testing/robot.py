"""What every robot must do, seen from the control process."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import pairwise

import numpy as np

from vla_runtime.core.errors import DeviceLost
from vla_runtime.core.protocols import Robot, StopCategory
from vla_runtime.core.types import RobotState

__all__ = ["RobotContract"]


class RobotContract:
    """Inherit, provide ``make``, and say what the robot has.

    ``joints``, ``extras``: how many. ``instruction``: one that it accepts. ``patience_s``: how long a state may take.
    """

    joints = 1
    extras = 0
    instruction = ""
    patience_s = 10.0

    def make(self) -> Robot:
        """A robot that is there and may be moved."""
        raise NotImplementedError

    def test_it_meets_the_protocol(self) -> None:
        with closing(self.make()) as robot:
            assert isinstance(robot, Robot)

    def test_states_have_a_value_for_every_joint(self) -> None:
        with closing(self.make()) as robot:
            robot.reset(0, 1, self.instruction)
            for state in self._states(robot, 5):
                assert state.position.shape == (self.joints,)
                assert state.extras.shape == (self.extras,)
                assert np.isfinite(state.position).all()
                assert np.isfinite(state.extras).all()
                assert state.velocity is None or state.velocity.shape == (self.joints,)

    def test_states_come_in_order_and_are_read_once(self) -> None:
        with closing(self.make()) as robot:
            robot.reset(0, 1, self.instruction)
            states = self._states(robot, 20)
            assert all(one.seq < other.seq for one, other in pairwise(states))
            assert all(one.stamp_ns <= other.stamp_ns for one, other in pairwise(states))
            assert states[-1].stamp_ns <= time.monotonic_ns()

    def test_the_measured_pose_is_a_command_that_it_takes(self) -> None:
        with closing(self.make()) as robot:
            robot.reset(0, 1, self.instruction)
            for _ in range(20):
                state = self._states(robot, 1)[-1]
                robot.write(state.position, time.monotonic_ns())
            assert self._states(robot, 1)

    def test_a_state_is_not_written_over_by_a_later_one(self) -> None:
        with closing(self.make()) as robot:
            robot.reset(0, 1, self.instruction)
            first = self._states(robot, 1)[0]
            seen = first.position.copy()
            self._states(robot, 5)
            assert np.array_equal(first.position, seen)

    def test_stopping_is_safe_at_any_time_and_any_number_of_times(self) -> None:
        robot = self.make()
        for category in StopCategory:
            robot.stop(category)
        robot.reset(0, 1, self.instruction)
        for category in (*StopCategory, *StopCategory):
            robot.stop(category)
        robot.close()
        robot.stop(StopCategory.IMMEDIATE)

    def test_after_a_stop_a_reset_begins_a_new_episode(self) -> None:
        with closing(self.make()) as robot:
            for episode in range(3):
                robot.reset(episode, episode, self.instruction)
                assert self._states(robot, 2)
                robot.stop(StopCategory.CONTROLLED)

    def test_closing_twice_does_no_harm(self) -> None:
        robot = self.make()
        robot.close()
        robot.close()

    def _states(self, robot: Robot, count: int) -> list[RobotState]:
        """The next ``count`` states; a robot that stops meanwhile fails the test."""
        states: list[RobotState] = []
        end = time.monotonic() + self.patience_s
        while len(states) < count:
            assert time.monotonic() < end, f"{len(states)} of {count} states came within {self.patience_s:g} s"
            try:
                states += robot.read(time.monotonic_ns())
            except DeviceLost as error:
                raise AssertionError(f"the robot gave up: {error}") from error
            time.sleep(0.001)
        return states
