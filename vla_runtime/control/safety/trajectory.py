"""Motion inside limits on velocity, acceleration and jerk, by Ruckig (Berscheid and Kröger, RSS 2021).

Commands are samples of one curve whose third derivative is bounded, so no finite difference of them, of any order up
to the third, exceeds its limit.

- The target moves. In a frame that moves with it, it rests, and the time-optimal way to it is the time-optimal
  interception: no lag behind a steady motion, no swinging around it.
- From every state there is a way to rest inside the position limits: a step is taken only after that way has been
  computed from where it leads. Where there is none, the step goes along the way found a tick before.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add, le, sub

import numpy as np
from ruckig import ControlInterface, InputParameter, Ruckig, RuckigError, Synchronization, Trajectory

from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.rule import ROUNDING, Vector

__all__ = ["TrajectoryLimiter"]

_FRAME = 0.95
"""The frame's share of a joint's velocity limit: what is left is the speed of catching up."""
_NEXT_TO_NOTHING = 0.1
"""A command nearer to its target than this share of a tick at full speed has not been kept from it."""
_HAIR = 1e-12
"""The share of a joint's greatest position that counts as rounding: a command so near to its target is the target, bit
for bit, and a way to rest may leave the limits by it. More would show in the third differences.
"""

_State = tuple[Vector, Vector, Vector]
"""Position, velocity and acceleration."""


class TrajectoryLimiter:
    """Commands for all joints, each on its own: no joint waits for another.

    Args:
        limits: with acceleration and jerk.
        period_ns: the control period. Each call advances the curve by it, also after a late tick.
    """

    def __init__(self, limits: JointLimits, period_ns: int) -> None:
        assert limits.acceleration is not None
        assert limits.jerk is not None
        self._period_s = period_ns * 1e-9
        self._low: Vector = limits.low.tolist()
        self._high: Vector = limits.high.tolist()
        self._velocity: Vector = limits.velocity.tolist()
        self._backward: Vector = (-limits.velocity).tolist()
        self._acceleration: Vector = limits.acceleration.tolist()
        # What follows from them, worked out once: this runs in every tick.
        self._fastest_frame: Vector = [most * _FRAME for most in self._velocity]
        self._turn: Vector = [most * self._period_s for most in self._acceleration]
        self._near: Vector = [max(_NEXT_TO_NOTHING * most * self._period_s, ROUNDING) for most in self._velocity]
        self._hair: Vector = (_HAIR * np.maximum(np.abs(limits.low), np.abs(limits.high))).tolist()
        reach = _stopping_distance(limits)
        self._clear_low: Vector = list(map(add, self._low, reach))
        self._clear_high: Vector = list(map(sub, self._high, reach))
        joints = len(limits.joints)
        self._ruckig = Ruckig(joints, self._period_s)
        self._chase, self._rest = (_problem(limits) for _ in range(2))
        self._rest.control_interface = ControlInterface.Velocity
        self._way, self._stop, self._next_stop, self._from_zero = (Trajectory(joints) for _ in range(4))
        self._still: Vector = [0.0] * joints
        self.begin(self._still)

    def begin(self, pose: Vector, velocity: Vector | None = None, acceleration: Vector | None = None) -> None:
        self._state = self._before = (pose, velocity or self._still, acceleration or self._still)
        self._target: Vector | None = None
        self._slopes = self._still
        self._plan_rest(self._state)
        self._adopt(self._state)

    @property
    def command(self) -> Vector:
        return self._state[0]

    @property
    def arrived(self) -> bool:
        return self._target is not None and all(
            abs(x - p) <= most * self._period_s
            for x, p, most in zip(self._target, self.command, self._velocity, strict=True)
        )

    @property
    def resting(self) -> bool:
        return bool(self._stopping_s >= self._stop.duration)

    def follow(self, target: Vector) -> Vector:
        frame = self._frame(target)
        state = self._intercept(target, frame)
        stuck = self._plan_rest(state)
        if stuck:  # near a limit: take the target as one to rest at
            state = self._intercept(target, [0.0 if i in stuck else speed for i, speed in enumerate(frame)])
            stuck = self._plan_rest(state)
        if stuck:
            state = self._slowed(state, stuck)
            if len(self._plan_rest(state)) == len(target):
                return self._slow_down()
        self._adopt(state)
        return self.command

    def brake(self) -> Vector:
        self._target = None
        self._slopes = self._still
        return self._slow_down()

    def kept_back(self, target: Vector) -> list[tuple[int, str]]:
        return [
            (joint, self._limit(joint, x))
            for joint, (x, here, near) in enumerate(zip(target, self._state[0], self._near, strict=True))
            if not -near <= x - here <= near
        ]

    def _limit(self, joint: int, target: float) -> str:
        position, velocity, _ = self._before
        speed = (target - position[joint]) / self._period_s
        if abs(speed) > self._velocity[joint]:
            return "velocity"
        change = (speed - velocity[joint]) / self._period_s
        return "acceleration" if abs(change) > self._acceleration[joint] else "jerk"

    def _adopt(self, state: _State) -> None:
        """Go to ``state``, from where the way to rest has just been planned."""
        self._before, self._state = self._state, state
        self._stop, self._next_stop = self._next_stop, self._stop
        self._stopping_s = 0.0

    def _slow_down(self) -> Vector:
        """One period along the way to rest; at its end the command stays as it is."""
        self._before = self._state
        if self.resting:
            return self.command
        self._state = self._at_rest_in(self._period_s)
        self._stopping_s += self._period_s
        return self.command

    def _at_rest_in(self, seconds: float) -> _State:
        """The state ``seconds`` from now on the way to rest."""
        position, velocity, acceleration = self._stop.at_time(self._stopping_s + seconds)
        inside = [min(max(p, low), high) for p, low, high in zip(position, self._low, self._high, strict=True)]
        return inside, velocity, acceleration

    def _frame(self, target: Vector) -> Vector:
        """The velocity of the target f64[D]: its change since the last tick, as far as that is a motion.

        A change of it beyond the acceleration limit is a jump or noise: the lesser of two slopes is then believed,
        and none if they disagree in sign.
        """
        before, self._target = self._target, target
        if before is None:
            return self._still
        period_s, frame = self._period_s, []
        slopes = [(x - x0) / period_s for x, x0 in zip(target, before, strict=True)]
        for slope, slope0, most, turn in zip(slopes, self._slopes, self._fastest_frame, self._turn, strict=True):
            if not -turn <= slope - slope0 <= turn:
                slope = 0.0 if slope * slope0 <= 0 else slope if abs(slope) < abs(slope0) else slope0
            frame.append(slope if -most <= slope <= most else most if slope > most else -most)
        self._slopes = slopes
        return frame

    def _intercept(self, target: Vector, frame: Vector) -> _State:
        """The state one period on, on the fastest way to targets that move with ``frame``; else on the way to rest."""
        chase, way = self._chase, self._way
        position, velocity, acceleration = self._state
        shift = [speed * self._period_s for speed in frame]
        chase.current_position = position
        chase.current_velocity = list(map(sub, velocity, frame))
        chase.current_acceleration = acceleration
        chase.target_position = list(map(sub, target, shift))
        chase.max_velocity = list(map(sub, self._velocity, frame))
        chase.min_velocity = list(map(sub, self._backward, frame))
        try:
            self._ruckig.calculate(chase, way)
        except RuckigError:
            return self._at_rest_in(self._period_s)
        position, velocity, acceleration = way.at_time(self._period_s)
        return self._landed(list(map(add, position, shift)), target), list(map(add, velocity, frame)), acceleration

    def _landed(self, command: Vector, target: Vector) -> Vector:
        """``command`` without what arithmetic has put beside a target or beyond a limit."""
        for i, (p, x, low, high, hair) in enumerate(
            zip(command, target, self._low, self._high, self._hair, strict=True)
        ):
            if p != x and -hair < p - x < hair:
                command[i] = x
            elif low - hair <= p < low:
                command[i] = low
            elif high < p <= high + hair:
                command[i] = high
        return command

    def _plan_rest(self, state: _State) -> Sequence[int]:
        """Plan the way from ``state`` to rest; the joints that leave their limits on it, all if there is no way."""
        rest = self._rest
        rest.current_position, rest.current_velocity, rest.current_acceleration = state
        try:
            self._ruckig.calculate(rest, self._next_stop)
        except RuckigError:
            return range(len(self._low))
        if all(map(le, self._clear_low, state[0])) and all(map(le, state[0], self._clear_high)):
            return ()
        rest.current_position = self._still  # from elsewhere, ruckig counts 0 among the positions passed
        self._ruckig.calculate(rest, self._from_zero)
        return [
            i
            for i, (start, way) in enumerate(zip(state[0], self._from_zero.position_extrema, strict=True))
            if not (
                start + way.min >= self._low[i] - self._hair[i] and start + way.max <= self._high[i] + self._hair[i]
            )
        ]

    def _slowed(self, state: _State, stuck: Sequence[int]) -> _State:
        """``state`` with the ``stuck`` joints on their way to rest instead."""
        slow = self._at_rest_in(self._period_s)
        for fast_values, slow_values in zip(state, slow, strict=True):
            for i in range(len(fast_values)):
                if i not in stuck:
                    slow_values[i] = fast_values[i]
        return slow


def _problem(limits: JointLimits) -> InputParameter:
    problem = InputParameter(len(limits.joints))
    problem.synchronization = Synchronization.No
    problem.max_velocity = limits.velocity
    problem.max_acceleration = limits.acceleration
    problem.max_jerk = limits.jerk
    return problem


def _stopping_distance(limits: JointLimits) -> Vector:
    """f64[D]: no way to rest is as long, twice over.

    From speed V and acceleration A, both at their limits, jerk J brings A to zero in A / J, on which the speed grows by
    half of A² / J. Braking from there takes that speed / A and A / J more; turning round on the way no more than that.
    """
    assert limits.acceleration is not None
    assert limits.jerk is not None
    speed = limits.velocity + limits.acceleration**2 / limits.jerk
    distance: Vector = (2 * speed * (speed / limits.acceleration + 2 * limits.acceleration / limits.jerk)).tolist()
    return distance
