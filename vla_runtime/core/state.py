"""The policy's state inputs, picked by name out of what the robot measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_runtime.core.types import F32, RobotState

__all__ = ["StateInputs"]


class StateInputs:
    """State inputs by name: the same rule when a policy runs and when it is trained on a log.

    Args:
        names: ``<joint>.position``, ``<joint>.velocity`` or one of ``extras``, in the policy's order.
        joints, extras: what the robot measures, in its order.
    """

    def __init__(self, names: Sequence[str], joints: Sequence[str], extras: Sequence[str]) -> None:
        places = {f"{joint}.position": ("position", i) for i, joint in enumerate(joints)}
        places |= {f"{joint}.velocity": ("velocity", i) for i, joint in enumerate(joints)}
        places |= {extra: ("extras", i) for i, extra in enumerate(extras)}
        self._places = [places.get(name, ("", 0)) for name in names]
        self._sizes = len(joints), len(extras)
        self._missing = [name for name in names if name not in places]

    def pick(self, state: RobotState) -> F32:
        """f32[S].

        Raises:
            ValueError: the robot does not measure one of them, or has another number of joints or extras.
        """
        if self._missing:
            raise ValueError(f"the robot does not measure {', '.join(self._missing)}")
        sizes = len(state.position), len(state.extras)
        if sizes != self._sizes or (state.velocity is not None and len(state.velocity) != sizes[0]):
            raise ValueError(f"a state of {sizes[0]} joints and {sizes[1]} extras, the robot has {self._sizes}")
        if state.velocity is None and any(field == "velocity" for field, _ in self._places):
            raise ValueError("the policy reads joint velocities, which this robot does not measure")
        return np.array([getattr(state, field)[i] for field, i in self._places], dtype=np.float32)
