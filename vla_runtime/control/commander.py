"""The commands of one episode: the next one, and what the last ones mean for the loop."""

from __future__ import annotations

from vla_runtime.control.committed import Committed
from vla_runtime.control.safety import SafetyChain, Verdict
from vla_runtime.core.types import F64

__all__ = ["Commander"]


class Commander:
    """Commands begin at rest at the first measured pose.

    ``moved_ns``: when a command last moved. ``committed``: what the robot was told, and will be.
    """

    def __init__(self, safety: SafetyChain, committed: Committed, start_ns: int) -> None:
        self._safety = safety
        self._begun = False
        self.committed = committed
        self.moved_ns = start_ns

    @property
    def arrived(self) -> bool:
        """The last command was as good as the policy's own."""
        return self._begun and self._safety.arrived

    def next(self, target: F64 | None, measured: F64, now_ns: int) -> Verdict:
        """The next command on the way to ``target`` f64[D], or to rest where there is none."""
        safety = self._safety
        if not self._begun:
            self._begun = True
            safety.begin(measured)
        verdict = safety.brake() if target is None else safety.follow(target, measured)
        if not safety.resting:
            self.moved_ns = now_ns
        self.committed.add(verdict.command, now_ns)
        return verdict
