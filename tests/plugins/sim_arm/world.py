"""A sim_arm by itself, and its expert in closed loop without the rest of the runtime."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.protocols import DeviceCamera, DeviceContext
from vla_runtime.plugins.devices.sim_arm import Options, SimArm

JOINTS = ("base", "shoulder", "elbow", "forearm", "wrist", "hand", "gripper")
LOW = (-2.6, -1.8, -2.4, -3.0, -2.0, -3.0, 0.0)
HIGH = (2.6, 1.8, 2.4, 3.0, 2.0, 3.0, 0.08)
FRONT, WRIST = DeviceCamera("front", 96, 96, 30.0), DeviceCamera("wrist", 96, 96, 30.0)

_STEP_S, _ROWS, _REPLAN_STEPS = 0.05, 16, 25


def context(cameras=(FRONT, WRIST), **changes) -> DeviceContext:
    values = {"joints": JOINTS, "low": LOW, "high": HIGH, "extras": (), "cameras": tuple(cameras)}
    return DeviceContext(**values | changes)


def arm(cameras=(), **options) -> SimArm:
    return SimArm(Options(**options), context(cameras))


def run_expert(device: SimArm, seed: int, instruction: str, told: str = "") -> tuple[bool, int]:
    """(success, steps). ``told``: what the expert does, where that is something else than what is judged."""
    device.reset(seed, instruction)
    expert_goal = device._goal
    if told:
        other = arm()
        other.reset(seed, told)
        expert_goal = other._goal
    judged = device._goal
    rows = np.arange(_ROWS) * _STEP_S
    step = 0
    while not device.task()[1]:
        if step % _REPLAN_STEPS == 0:
            device._goal = expert_goal
            chunk, begun = device.demonstrate(rows), step
            device._goal = judged
        at = (step - begun) * device.period_ns * 1e-9 / _STEP_S
        row = min(int(at), _ROWS - 2)
        device.step(chunk[row] + (at - row) * (chunk[row + 1] - chunk[row]))
        step += 1
    return device.task()[2], step
