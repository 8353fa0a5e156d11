"""What an adversary wants of a robot, tick by tick, and a robot's limits drawn from many decades."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vla_runtime.control.safety import JointLimits
from vla_runtime.core.types import F64

__all__ = ["HARD", "Wish", "draw_limits", "draw_period_ns", "draw_wish"]

HARD = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0, 3.4e38])
_PERIODS_NS = (1_000_000, 2_000_000, 4_000_000, 5_000_000, 10_000_000, 20_000_000)

Wish = Callable[[int, F64], F64]
"""(tick, last command f64[D]) to the target f64[D]."""


def draw_period_ns(rng: np.random.Generator) -> int:
    return int(rng.choice(_PERIODS_NS))


def draw_limits(rng: np.random.Generator, joints: int) -> JointLimits:
    """Ranges over four decades, around zero or not; to cross one takes from a hundredth of a second up to minutes."""
    span = 10.0 ** rng.uniform(-2, 2, joints)
    low = -span * np.where(rng.random(joints) < 0.5, rng.uniform(0, 1, joints), rng.uniform(-5, 5, joints))
    velocity = span * 10.0 ** rng.uniform(-2, 1.5, joints)
    acceleration = velocity * 10.0 ** rng.uniform(0, 2.5, joints)
    jerk = acceleration * 10.0 ** rng.uniform(0, 3, joints)
    lead = np.where(rng.random(joints) < 0.5, np.inf, span * rng.uniform(0.05, 2, joints))
    return JointLimits(tuple(f"j{i}" for i in range(joints)), low, low + span, velocity, acceleration, jerk, lead)


def draw_wish(rng: np.random.Generator, limits: JointLimits, period_s: float) -> Wish:
    """One kind of wish, for a while."""
    span, middle, joints = limits.high - limits.low, (limits.high + limits.low) / 2, len(limits.joints)
    assert limits.acceleration is not None
    kind = rng.integers(8)
    if kind == 0:  # a pose, maybe far outside
        pose = middle + rng.normal(size=joints) * span * 10.0 ** rng.integers(-3, 3)
        return lambda tick, command: pose
    if kind == 1:  # a new pose every few ticks
        every, poses = int(rng.integers(1, 40)), middle + rng.normal(size=(64, joints)) * span
        return lambda tick, command: poses[tick // every % 64]
    if kind == 2:  # a ramp, up to three times too fast
        begin, speed = rng.uniform(limits.low, limits.high), rng.uniform(-3, 3, joints) * limits.velocity
        return lambda tick, command: begin + speed * (tick % 400) * period_s
    if kind == 3:  # a swing that asks for about all the acceleration there is
        swing = span * rng.uniform(0.01, 0.7, joints)
        turn = np.sqrt(limits.acceleration / swing) * rng.uniform(0.3, 3)
        return lambda tick, command: middle + swing * np.sin(turn * tick * period_s)
    if kind == 4:  # a random walk
        walk = middle + np.cumsum(rng.normal(size=(256, joints)), axis=0) * limits.velocity * period_s * rng.uniform(
            0, 3
        )
        return lambda tick, command: walk[tick % 256]
    if kind == 5:  # away from where the robot is, and back at the worst moment
        every = int(rng.integers(2, 60))
        return lambda tick, command: np.where(((command > middle) ^ (tick // every % 2 == 1)), limits.high, limits.low)
    if kind == 6:  # along a limit, a hair inside or outside
        hair = rng.choice([-1, 1], joints) * 10.0 ** rng.uniform(-12, -1, joints) * span
        edge = np.where(rng.random(joints) < 0.5, limits.low, limits.high)
        return lambda tick, command: edge + hair * np.cos(tick)
    hard = rng.choice(HARD, (32, joints))  # no numbers at all, now and then
    poses = rng.uniform(limits.low, limits.high, (32, joints))
    odd = np.where(rng.random((32, joints)) < 0.3, hard, poses)
    return lambda tick, command: odd[tick % 32]
