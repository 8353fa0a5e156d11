"""A core for the loops, and the others for everything else."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vla_runtime.app.config import CpusConfig
from vla_runtime.app.realtime import set_cores

__all__ = ["Cores", "divide_cores"]


@dataclass(frozen=True, slots=True)
class Cores:
    """``loops``: the core of both loops; ``others``: where everything else runs. None where there is but one."""

    loops: tuple[int, ...]
    others: tuple[int, ...]

    def config(self) -> CpusConfig:
        """As a robot's config says it."""
        if not self.loops:
            return CpusConfig()
        return CpusConfig(self.loops, self.others, self.others, self.others)

    def stand_aside(self) -> None:
        """Every thread of this process, and what it starts, on the ``others``."""
        set_cores(self.others)


def divide_cores() -> Cores:
    """The last core that we may use is for the loops."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return Cores(cores[-1:], cores[:-1]) if len(cores) > 1 else Cores((), cores)
