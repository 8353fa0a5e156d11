"""The scripted expert: knows where everything is, and moves the finger tips there in straight lines.

It plans from the measured pose alone, so its plan is a function of what a policy may see. The finger tips approach
their target at a bounded speed, exponentially at the end; the joint commands run ahead of that path by the servos' lag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vla_runtime.core.types import F64
from vla_runtime.plugins.devices.sim_arm.kinematics import joints_for
from vla_runtime.plugins.devices.sim_arm.scene import HALF_BLOCK, TABLE_CENTRE, Scene
from vla_runtime.plugins.devices.sim_arm.tasks import HOVER, Goal

__all__ = ["LAG_S", "demonstrate"]

LAG_S = 0.05
"""How far the servos of arm.xml lag behind their commands."""
_STEP_S = 0.01  # of the integration
_SETTLE_S = 0.18
_SPEED = {"reach": 0.22, "track": 0.25, "push": 0.22}
_DRAG_SPEED = 0.12
_HAND_SPEED = 1.0
_GRIP_SPEED = 0.08
_STRAY_S = 0.25  # how fast joints that strayed from the downward pose return to it
_OPENING = {"reach": 0.04, "track": 0.04, "push": 0.08}

_PUSH_LOW, _PUSH_HIGH = 0.012, 0.085  # m above the table
_DRAG_BELOW, _DEEPER = 0.028, 0.010
_CAGE_ALONG, _CAGE_ACROSS = 0.034, 0.024
_SLACK = 0.04 - HALF_BLOCK  # a caged block may be this far from the middle of the open gripper
_FUNNEL_FREE, _FUNNEL_SLOPE, _RISE_FIRST = 0.010, 3.0, 0.02
_NEAR_MAT, _ON_MAT = 0.05, 0.012


@dataclass(slots=True)
class _Hand:
    """Where the gripper is: finger tips in m, its turn in rad, its opening in m."""

    x: float
    y: float
    z: float
    turn: float
    grip: float


def demonstrate(scene: Scene, goal: Goal, ahead_s: F64) -> F64:
    """Joint commands f64[H, 7], ``ahead_s`` f64[H] seconds (ascending, each >= 0) after now."""
    measured = scene.position
    x, y, z = scene.tcp.tolist()
    hand = _Hand(x, y, z, float(measured[5]), float(measured[6]))
    stray = measured[:6] - joints_for(x, y, z, hand.turn)
    path = _Path(scene, goal, hand)
    commands = []
    for ahead in ahead_s:
        path.advance_to(float(ahead) + LAG_S)
        pose = np.array(joints_for(hand.x, hand.y, hand.z, hand.turn))
        pose += stray * math.exp(-(ahead + LAG_S) / _STRAY_S)
        commands.append([*pose, hand.grip])
    return np.clip(np.array(commands).reshape(-1, 7), scene.low, scene.high)


class _Path:
    """Carries ``hand`` along the expert's path."""

    def __init__(self, scene: Scene, goal: Goal, hand: _Hand) -> None:
        self._task, self._hand = goal.task, hand
        self._block: tuple[float, float] = tuple(scene.block(goal.colour)[:2].tolist())
        self._mat: tuple[float, float] = tuple(scene.mat.tolist())
        self._table_speed = scene.table_speed
        self._seconds = 0.0

    def advance_to(self, seconds: float) -> None:
        while self._seconds < seconds - 1e-9:
            step = min(_STEP_S, seconds - self._seconds)
            if self._task == "push":
                self._push(step)
            else:
                self._hover(step)
            self._seconds += step

    def _hover(self, step: float) -> None:
        """Above the block, which the table may carry along."""
        before = self._block
        self._block = after = _turned(before, self._table_speed * step)
        self._hand.x += after[0] - before[0]
        self._hand.y += after[1] - before[1]
        self._approach((*after, HOVER[self._task]), 0.0, _SPEED[self._task], step)

    def _push(self, step: float) -> None:
        """Lower the open gripper over the block, its fingers before and behind it, and drag it onto the mat."""
        hand, (bx, by), (mx, my) = self._hand, self._block, self._mat
        to_mat, base = math.dist((bx, by), (mx, my)), math.atan2(hand.y, hand.x)
        # Close to the mat's middle the way there points anywhere: the hand keeps its turn.
        turn = _jaws_along(mx - bx, my - by, base) if to_mat > _NEAR_MAT else hand.turn
        jaws = base - hand.turn + math.pi / 2
        ax, ay = math.cos(jaws), math.sin(jaws)
        if ax * (mx - bx) + ay * (my - by) < 0:
            ax, ay = -ax, -ay
        along, across = (bx - hand.x) * ax + (by - hand.y) * ay, abs((bx - hand.x) * ay - (by - hand.y) * ax)
        if hand.z < _DRAG_BELOW and abs(along) < _CAGE_ALONG and across < _CAGE_ACROSS:
            # The deeper the fingers, the faster: one that begins early would ride on the block.
            share = min(1.0, (_DRAG_BELOW - hand.z) / _DEEPER) if to_mat > _ON_MAT else 0.0
            self._approach((hand.x + share * (mx - bx), hand.y + share * (my - by), _PUSH_LOW), turn, _DRAG_SPEED, step)
            # The finger behind the block takes it along once it has reached it.
            behind = (bx - hand.x) * ax + (by - hand.y) * ay + _SLACK
            if behind < 0:
                self._block = bx - behind * ax, by - behind * ay
            return
        # Along the jaws a finger might come down on the block; across them and in the turn there is more room.
        astray = max(abs(along), 0.5 * across, 0.02 * abs(turn - hand.turn))
        height = min(_PUSH_LOW + _FUNNEL_SLOPE * max(0.0, astray - _FUNNEL_FREE), _PUSH_HIGH)
        beside = hand.z < height - _RISE_FIRST
        self._approach((hand.x if beside else bx, hand.y if beside else by, height), turn, _SPEED["push"], step)

    def _approach(self, target: tuple[float, float, float], turn: float, speed: float, step: float) -> None:
        hand = self._hand
        dx, dy, dz = target[0] - hand.x, target[1] - hand.y, target[2] - hand.z
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        if distance > 1e-9:
            share = min(speed, distance / _SETTLE_S) * step / distance
            hand.x, hand.y, hand.z = hand.x + share * dx, hand.y + share * dy, hand.z + share * dz
        hand.turn += _toward(turn - hand.turn, _HAND_SPEED, step)
        hand.grip += _toward(_OPENING[self._task] - hand.grip, _GRIP_SPEED, step)


def _toward(left: float, speed: float, step: float) -> float:
    return math.copysign(min(speed, abs(left) / _SETTLE_S) * step, left)


def _turned(point: tuple[float, float], angle: float) -> tuple[float, float]:
    """``point`` after the table has turned by ``angle``."""
    x, y = point[0] - TABLE_CENTRE[0], point[1] - TABLE_CENTRE[1]
    cosine, sine = math.cos(angle), math.sin(angle)
    return TABLE_CENTRE[0] + cosine * x - sine * y, TABLE_CENTRE[1] + sine * x + cosine * y


def _jaws_along(ux: float, uy: float, base: float) -> float:
    """The hand's turn that opens the jaws along (ux, uy), the base being turned by ``base``; in [-pi/2, pi/2)."""
    turn = base - math.atan2(uy, ux) + math.pi / 2
    return (turn + math.pi / 2) % math.pi - math.pi / 2
