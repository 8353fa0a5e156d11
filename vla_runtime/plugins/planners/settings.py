"""Everything a planner process must know, as one JSON object on its command line."""

from __future__ import annotations

from typing import Any

import msgspec

from vla_runtime.core.choice import Sampling

__all__ = ["CameraSetting", "PlannerSettings"]


class CameraSetting(msgspec.Struct, frozen=True):
    """A camera plug-in by name, and how fresh its frames must be. ``clock``: where its machine says its time, "" for
    ours.
    """

    name: str
    type: str
    endpoint: str
    options: dict[str, Any]
    max_age_ns: int
    frozen_ns: int
    clock: str


class PlannerSettings(msgspec.Struct, frozen=True):
    """``frame_endpoint``: where the recorder takes the frames that were looked at, "" for nowhere."""

    endpoint: str
    parent_pid: int
    policy_type: str
    policy_file: str
    threads: int
    joints: tuple[str, ...]
    extras: tuple[str, ...]
    cameras: tuple[CameraSetting, ...]
    frame_timeout_ns: int
    max_skew_ns: int
    frame_endpoint: str
    sampling: Sampling = Sampling()
