"""What replaying a log found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from vla_runtime.app.config import RobotConfig
from vla_runtime.core.errors import LogError
from vla_runtime.episode.reader import Episode

__all__ = ["Finding", "distance", "logged_config"]


@dataclass
class Finding:
    """What one way of replaying found. ``differences`` are for people, the first few of them."""

    compared: int = 0
    identical: bool = True
    max_abs_error: float = 0.0
    differences: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def differ(self, line: str, error: float = 0.0) -> None:
        self.identical = False
        self.max_abs_error = max(self.max_abs_error, error)
        if len(self.differences) < 5:
            self.differences.append(line)


def logged_config(episode: Episode) -> RobotConfig:
    """The config that the run used.

    Raises:
        LogError: the log holds none that this version reads.
    """
    try:
        return msgspec.json.decode(episode.metadata["config"], type=RobotConfig)
    except (KeyError, msgspec.MsgspecError) as error:
        raise LogError(f"{episode.path} holds no robot config that this version reads: {error}") from error


def distance(mine: Sequence[float] | None, logged: Sequence[float] | None) -> float:
    if mine is None or logged is None or len(mine) != len(logged):
        return float("inf")
    return float(np.max(np.abs(np.subtract(mine, logged)), initial=0.0))
