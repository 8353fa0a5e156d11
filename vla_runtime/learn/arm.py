"""The pose task of a configured arm, from the plain values of its robot config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vla_runtime.core.spec import Unit
from vla_runtime.learn.poses import PoseTask

__all__ = ["pose_task"]


def pose_task(
    *,
    joints: Sequence[str],
    units: Sequence[Unit],
    limits: Sequence[tuple[float, float]],
    velocity: Sequence[float],
    cameras: Mapping[str, tuple[int, int]],
    poses: Mapping[str, Sequence[float]],
    step_hz: float,
    time_constant_s: float,
    chunk_length: int = 16,
    speed: float = 0.5,
) -> PoseTask:
    """A PoseTask whose expert cruises at ``speed`` times the joints' velocity limits and leads by the servo's lag.

    The margin below the limits is what the safety rules need to follow the chunk without intervening.

    Args:
        limits: (low, high) for each joint. velocity: the most each joint may do per second.
        time_constant_s: lag of the servo, first order.

    Raises:
        ValueError: values that disagree; the message names them.
    """
    if not step_hz > 0:
        raise ValueError(f"step_hz is {step_hz}, expected more than 0")
    dt_s = 1.0 / step_hz
    return PoseTask(
        joints=tuple(joints),
        units=tuple(units),
        low=tuple(float(low) for low, _ in limits),
        high=tuple(float(high) for _, high in limits),
        poses={text: tuple(float(v) for v in pose) for text, pose in poses.items()},
        max_speed=tuple(speed * float(v) for v in velocity),
        cameras={name: (int(h), int(w)) for name, (h, w) in cameras.items()},
        dt_s=dt_s,
        chunk_length=chunk_length,
        lead_s=max(dt_s, time_constant_s),
    )
