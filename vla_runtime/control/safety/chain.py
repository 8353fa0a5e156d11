"""The chain: each rule may change the command; whatever changed is named in the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vla_runtime.core.types import F64, Intervention

__all__ = ["Rule", "SafetyChain", "Verdict"]


class Rule(Protocol):
    """One reason for which a command may not be sent as wanted."""

    name: str

    def apply(self, wanted: F64, previous: F64) -> F64:
        """``wanted`` f64[D], or the nearest command that this rule lets pass after ``previous`` f64[D]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What may be sent, f64[D], and which rules changed which joints on the way there."""

    command: F64
    interventions: tuple[Intervention, ...]


class SafetyChain:
    """``rules`` in order. The last one's answer is sent, so it must keep what those before it ensured."""

    def __init__(self, joints: Sequence[str], rules: Sequence[Rule]) -> None:
        self._joints = tuple(joints)
        self._rules = tuple(rules)

    def filter(self, wanted: F64, previous: F64) -> Verdict:
        """The verdict on ``wanted`` after ``previous`` was commanded (or measured, before the first command)."""
        interventions: list[Intervention] = []
        for rule in self._rules:
            allowed = rule.apply(wanted, previous)
            changed = allowed != wanted  # NaN differs from everything, so a replaced NaN counts as changed
            if changed.any():
                interventions += [Intervention(rule.name, self._joints[i]) for i in changed.nonzero()[0]]
            wanted = allowed
        return Verdict(wanted, tuple(interventions))
