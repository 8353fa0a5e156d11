"""The physics: MuJoCo's model of the arm, the table and the blocks, and what can be read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import mujoco
import numpy as np

from vla_runtime.core.types import F64
from vla_runtime.plugins.devices.sim_arm.kinematics import JOINTS

__all__ = ["COLOURS", "HALF_BLOCK", "TABLE_CENTRE", "Place", "Scene", "Snapshot", "load_model"]

COLOURS = ("red", "green", "blue")
HALF_BLOCK = 0.02
TABLE_CENTRE = (0.34, 0.0)
_OUT_OF_SIGHT = (0.0, 0.0, -1.0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block lies on the table: m in the base's frame, and its turn about the vertical in rad."""

    x: float
    y: float
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a picture depends on."""

    qpos: F64
    mat: F64


def load_model() -> mujoco.MjModel:
    """The model in arm.xml."""
    return mujoco.MjModel.from_xml_string((files(__package__) / "arm.xml").read_text())


class Scene:
    """One world. Joint vectors are f64[7] in the order of JOINTS: rad, and the gripper's opening in m."""

    def __init__(self) -> None:
        self.model = load_model()
        self.timestep = float(self.model.opt.timestep)
        self._data = mujoco.MjData(self.model)
        joints = [*JOINTS[:-1], "left"]
        self._qpos = np.array([self.model.joint(name).qposadr[0] for name in joints])
        self._qvel = np.array([self.model.joint(name).dofadr[0] for name in joints])
        self._right = self.model.joint("right").qposadr[0]
        self._table = self.model.joint("table")
        self._blocks = {colour: self.model.joint(colour) for colour in COLOURS}
        self._tcp = self._data.site("tcp")
        self._opening = np.ones(len(JOINTS))
        self._opening[-1] = 2.0  # each finger travels half the opening
        low, high = self.model.actuator_ctrlrange[: len(JOINTS)].T
        self.low, self.high = low.copy(), high.copy()

    def reset(self, joints: F64, blocks: Mapping[str, Place], mat: Place | None, table_speed: float) -> None:
        """Everything at rest in its place, but for the table, which turns at ``table_speed`` rad/s with the blocks."""
        data = self._data
        mujoco.mj_resetData(self.model, data)
        data.qpos[self._qpos] = joints / self._opening
        data.qpos[self._right] = data.qpos[self._qpos[-1]]
        for colour, place in blocks.items():
            at = self._blocks[colour].qposadr[0]
            data.qpos[at : at + 7] = place.x, place.y, HALF_BLOCK, np.cos(place.turn / 2), 0, 0, np.sin(place.turn / 2)
            speed = self._blocks[colour].dofadr[0]
            x, y = place.x - TABLE_CENTRE[0], place.y - TABLE_CENTRE[1]
            data.qvel[speed : speed + 6] = -table_speed * y, table_speed * x, 0, 0, 0, table_speed
        data.mocap_pos[0] = (mat.x, mat.y, 0.0) if mat is not None else _OUT_OF_SIGHT
        data.qvel[self._table.dofadr[0]] = table_speed
        data.ctrl[:-1] = joints
        data.ctrl[-1] = table_speed
        mujoco.mj_forward(self.model, data)

    def step(self, command: F64, count: int) -> None:
        """``count`` time steps under the joint targets ``command``."""
        self._data.ctrl[:-1] = command
        mujoco.mj_step(self.model, self._data, count)

    @property
    def position(self) -> F64:
        """Joint positions."""
        return np.asarray(self._data.qpos[self._qpos] * self._opening)

    @property
    def velocity(self) -> F64:
        """Joint velocities."""
        return np.asarray(self._data.qvel[self._qvel] * self._opening)

    @property
    def tcp(self) -> F64:
        """The point between the finger tips, f64[3]."""
        return np.array(self._tcp.xpos)

    def block(self, colour: str) -> F64:
        """The block's centre, f64[3]."""
        at = self._blocks[colour].qposadr[0]
        return np.array(self._data.qpos[at : at + 3])

    @property
    def mat(self) -> F64:
        """The mat's centre, f64[2]."""
        return np.array(self._data.mocap_pos[0, :2])

    @property
    def table_speed(self) -> float:
        """rad/s about the vertical through TABLE_CENTRE."""
        return float(self._data.qvel[self._table.dofadr[0]])

    def snapshot(self) -> Snapshot:
        return Snapshot(self._data.qpos.copy(), self._data.mocap_pos[0].copy())
