"""The arm that every contestant commands, as a robot of ``vla-run``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from fake import Arm

from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import F64, RobotState

__all__ = ["PeersArm"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``commands``: the file of the command log."""

    commands: str


class PeersArm:
    """Its extra, ``seconds``, is the time that the policy looks at."""

    Options = Options

    def __init__(self, endpoint: str, joints: Sequence[str], extras: Sequence[str], period_ns: int, options: Options,
                 alive: Callable[[], str]) -> None:  # fmt: skip
        self._arm, self._path, self._seq = Arm(0.0), options.commands, 0

    def reset(self, episode: int, seed: int, instruction: str) -> None: ...

    def read(self, now_ns: int) -> list[RobotState]:
        self._seq += 1
        seconds = np.array([(now_ns - self._arm.epoch_ns) * 1e-9])
        return [RobotState(self._arm.position(), None, now_ns, self._seq, seconds)]

    def write(self, command: F64, now_ns: int) -> None:
        self._arm.command(command)

    def stop(self, category: StopCategory) -> None: ...

    def close(self) -> None:
        self._arm.save(self._path)
