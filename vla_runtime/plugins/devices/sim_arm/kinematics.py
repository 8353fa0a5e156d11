"""The arm's inverse kinematics, with the gripper pointing straight down. Lengths in m are those of arm.xml."""

from __future__ import annotations

import math

__all__ = ["JOINTS", "joints_for"]

JOINTS = ("base", "shoulder", "elbow", "forearm", "wrist", "hand", "gripper")

_SHOULDER_HEIGHT = 0.16
_UPPER = 0.28
_LOWER = 0.26
_HAND = 0.14  # from the wrist's axis to the finger tips
_NEAREST, _FARTHEST = 0.17, 0.535  # from the shoulder's to the wrist's axis; keeps the elbow inside its range


def joints_for(x: float, y: float, z: float, hand: float) -> tuple[float, float, float, float, float, float]:
    """The six joint angles (rad) that put the finger tips at x, y, z (m, the base's frame), pointing down.

    ``hand`` turns the gripper about its own axis. The elbow points up. A point out of reach gives the nearest pose in
    its direction. The law of cosines on the triangle of shoulder, elbow and wrist.
    """
    out, up = math.hypot(x, y), z + _HAND - _SHOULDER_HEIGHT
    distance = min(max(math.hypot(out, up), _NEAREST), _FARTHEST)
    cosine = (distance**2 - _UPPER**2 - _LOWER**2) / (2 * _UPPER * _LOWER)
    elbow = math.acos(min(max(cosine, -1.0), 1.0))
    bend = math.atan2(_LOWER * math.sin(elbow), _UPPER + _LOWER * math.cos(elbow))
    shoulder = math.atan2(out, up) - bend
    return math.atan2(y, x), shoulder, elbow, 0.0, math.pi - shoulder - elbow, hand
