"""The tasks: what an instruction asks for, how an episode begins, and when the physics says that it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_runtime.core.errors import Refusal, choices
from vla_runtime.plugins.devices.sim_arm.scene import COLOURS, HALF_BLOCK, TABLE_CENTRE, Place, Scene

__all__ = ["HALF_MAT", "HOVER", "TASKS", "Goal", "Judge", "Layout", "lay_out", "parse"]

Task = Literal["reach", "push", "track"]

_PHRASES: dict[Task, str] = {
    "reach": "reach the {} block",
    "push": "push the {} block onto the mat",
    "track": "follow the {} block",
}
TASKS = {task: tuple(phrase.format(colour) for colour in COLOURS) for task, phrase in _PHRASES.items()}
HOVER = {"reach": 0.065, "track": 0.075}
"""Height of the finger tips above the table, over the block, in m."""
HALF_MAT = 0.05

_SECONDS = {"reach": 8.0, "push": 16.0, "track": 7.0}
_REACH_TOLERANCE, _REACH_HOLD_S = 0.025, 0.3
_PUSH_INSIDE, _PUSH_HOLD_S = 0.04, 0.3
_TRACK_TOLERANCE, _TRACK_FROM_S, _TRACK_SHARE = 0.03, 3.0, 0.9
_TABLE_SPEEDS = (0.5, 0.8)
_TRIES = 10_000


@dataclass(frozen=True, slots=True)
class Goal:
    """What an instruction asks for."""

    task: Task
    colour: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How an episode begins. ``tcp``: x, y, z of the finger tips in m; ``hand``: the gripper's turn in rad.

    There is no mat on a table that turns.
    """

    blocks: dict[str, Place]
    mat: Place | None
    table_speed: float
    tcp: tuple[float, float, float]
    hand: float


def parse(instruction: str) -> Goal:
    """The goal of ``instruction``.

    Raises:
        Refusal: the arm does not know it; the message lists those it does.
    """
    for task, texts in TASKS.items():
        if instruction in texts:
            return Goal(task, COLOURS[texts.index(instruction)])
    known = [text for texts in TASKS.values() for text in texts]
    raise Refusal(f"the arm knows no instruction {instruction!r}; {choices(instruction, known)}")


def lay_out(task: Task, random: np.random.Generator) -> Layout:
    """A random beginning of ``task``. It depends on the task and the generator alone, never on the colour asked for."""
    for _ in range(_TRIES):
        mat = Place(random.uniform(0.29, 0.38), random.uniform(-0.14, -0.11))
        spots = [_SPOTS[task](random) for _ in COLOURS]
        if _apart(spots) and (task != "push" or _clear(spots, mat)):
            break
    else:
        raise AssertionError("no free places for the blocks")
    turns = random.uniform(-math.pi, math.pi, len(COLOURS)).tolist()
    blocks = {colour: Place(*spot, turn) for colour, spot, turn in zip(COLOURS, spots, turns, strict=True)}
    tcp = random.uniform(0.24, 0.42), random.uniform(-0.16, 0.16), random.uniform(0.14, 0.24)
    speed = random.uniform(*_TABLE_SPEEDS) if task == "track" else 0.0
    return Layout(blocks, None if task == "track" else mat, speed, tcp, random.uniform(-0.3, 0.3))


def _on_table(random: np.random.Generator) -> tuple[float, float]:
    radius, angle = 0.17 * math.sqrt(random.uniform()), random.uniform(-math.pi, math.pi)
    return TABLE_CENTRE[0] + radius * math.cos(angle), TABLE_CENTRE[1] + radius * math.sin(angle)


def _beyond_mat(random: np.random.Generator) -> tuple[float, float]:
    return random.uniform(0.24, 0.45), random.uniform(-0.02, 0.13)


def _on_ring(random: np.random.Generator) -> tuple[float, float]:
    radius, angle = random.uniform(0.06, 0.13), random.uniform(-math.pi, math.pi)
    return TABLE_CENTRE[0] + radius * math.cos(angle), TABLE_CENTRE[1] + radius * math.sin(angle)


_SPOTS = {"reach": _on_table, "push": _beyond_mat, "track": _on_ring}


def _apart(spots: list[tuple[float, float]]) -> bool:
    return all(math.dist(a, b) >= 0.085 for i, a in enumerate(spots) for b in spots[:i])


def _clear(spots: list[tuple[float, float]], mat: Place) -> bool:
    """No block stands in another's way to the mat."""
    for i, (x, y) in enumerate(spots):
        length = math.dist((x, y), (mat.x, mat.y))
        ux, uy = (mat.x - x) / length, (mat.y - y) / length
        for j, (ox, oy) in enumerate(spots):
            along, across = (ox - x) * ux + (oy - y) * uy, abs((ox - x) * uy - (oy - y) * ux)
            if i != j and -0.07 < along < length + 0.05 and across < 0.058:
                return False
    return True


class Judge:
    """Watches one episode and says when it is done, from where things are; ``leniency`` widens the tolerances."""

    def __init__(self, goal: Goal, scene: Scene, leniency: float = 1.0) -> None:
        self._goal, self._scene, self._leniency = goal, scene, leniency
        self._seconds = 0.0
        self._kept_s = self._near_s = 0.0
        self.success = False
        self.done = False

    def watch(self, seconds: float) -> None:
        """``seconds`` more have passed."""
        if self.done:
            return
        self._seconds += seconds
        task, scene, wider = self._goal.task, self._scene, self._leniency
        limit = _SECONDS[task]
        if task == "push":
            block = scene.block(self._goal.colour)
            inside = np.abs(block[:2] - scene.mat).max() <= wider * _PUSH_INSIDE and block[2] < HALF_BLOCK + 0.01
            self._hold(bool(inside), seconds, _PUSH_HOLD_S)
        elif task == "reach":
            self._hold(self._distance() <= wider * _REACH_TOLERANCE, seconds, _REACH_HOLD_S)
        elif self._seconds > _TRACK_FROM_S:
            self._near_s += seconds * (self._distance() <= wider * _TRACK_TOLERANCE)
            share = self._near_s / (limit - _TRACK_FROM_S)
            self.success = self._seconds >= limit and share >= _TRACK_SHARE
        self.done = self.success or self._seconds >= limit

    def _distance(self) -> float:
        """Of the finger tips from the place over the block."""
        over = self._scene.block(self._goal.colour)
        over[2] += HOVER[self._goal.task] - HALF_BLOCK
        apart = self._scene.tcp - over
        return math.sqrt(apart @ apart)

    def _hold(self, now: bool, seconds: float, long_enough_s: float) -> None:
        self._kept_s = self._kept_s + seconds if now else 0.0
        self.success = self._kept_s >= long_enough_s
