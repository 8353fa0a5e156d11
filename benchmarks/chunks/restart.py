"""Forgets when a chunk's images were taken: it begins at its row 0 when it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vla_runtime.core.protocols import Planner
from vla_runtime.core.types import ActionChunk, PlannerStatus, PlanRequest

__all__ = ["Restart"]


class Restart:
    """``planner``, its chunks stamped with their arrival."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    def request(self, request: PlanRequest) -> None:
        self._planner.request(request)

    def poll(self, now_ns: int) -> Sequence[ActionChunk]:
        return [replace(chunk, t0_ns=now_ns) for chunk in self._planner.poll(now_ns)]

    def status(self, now_ns: int) -> PlannerStatus:
        return self._planner.status(now_ns)

    def close(self) -> None:
        self._planner.close()
