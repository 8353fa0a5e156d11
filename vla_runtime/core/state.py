"""The policy's state inputs: what the robot measured at the instant of the images, picked by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_runtime.core.types import F32, RobotState, StateTrack

__all__ = ["StateInputs", "state_at"]


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


def state_at(stamp_ns: int, newest: RobotState, track: StateTrack | None) -> RobotState:
    """The robot's state at ``stamp_ns``: linear between the two measurements around it.

    Before the oldest measurement of ``track`` it is the oldest, after ``newest`` that. A state that is not ``newest``
    itself knows no task and has the ``seq`` of no measurement: -1.
    """
    if track is None or len(track.stamps_ns) == 0 or stamp_ns >= newest.stamp_ns:
        return newest
    stamps = track.stamps_ns
    after = int(np.searchsorted(stamps, stamp_ns))  # the first measurement at stamp_ns or later
    if after == 0:
        return _row(track, 0, int(stamps[0]))
    if after < len(stamps) and stamps[after] == stamp_ns:
        return _row(track, after, stamp_ns)
    before = _row(track, after - 1, int(stamps[after - 1]))
    later = _row(track, after, int(stamps[after])) if after < len(stamps) else newest
    share = (stamp_ns - before.stamp_ns) / (later.stamp_ns - before.stamp_ns)
    velocity = None
    if before.velocity is not None and later.velocity is not None:
        velocity = before.velocity + share * (later.velocity - before.velocity)
    return RobotState(
        before.position + share * (later.position - before.position),
        velocity,
        stamp_ns,
        -1,
        before.extras + share * (later.extras - before.extras),
    )


def _row(track: StateTrack, index: int, stamp_ns: int) -> RobotState:
    velocity = None if track.velocity is None else track.velocity[index]
    return RobotState(track.position[index], velocity, stamp_ns, -1, track.extras[index])
