"""The chain: rules choose the target, the motion chooses the next command. What was changed is in the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_runtime.control.safety.motion import Motion
from vla_runtime.control.safety.rule import ROUNDING, Rule, Vector
from vla_runtime.core.types import F64, Intervention

__all__ = ["SafetyChain", "Verdict"]


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What may be sent, f64[D], and which rules changed which joints on the way there."""

    command: F64
    interventions: tuple[Intervention, ...] = ()


class SafetyChain:
    """``rules`` in order, then ``motion``. Say ``begin`` before the first command."""

    def __init__(self, joints: Sequence[str], rules: Sequence[Rule], motion: Motion) -> None:
        self._joints = tuple(joints)
        self._rules = tuple(rules)
        self._motion = motion
        self._known: dict[tuple[int, str], Intervention] = {}

    @property
    def resting(self) -> bool:
        """The last command stands still."""
        return self._motion.resting

    @property
    def arrived(self) -> bool:
        """The last command was as good as the policy's own."""
        return self._motion.arrived

    def begin(self, measured: F64) -> None:
        """Commands begin at rest at the measured pose f64[D]."""
        self._motion.begin(measured.tolist())

    def follow(self, wanted: F64, measured: F64) -> Verdict:
        """The next command on the way to ``wanted`` f64[D], the robot being at ``measured`` f64[D]."""
        before = self._motion.command
        target: Vector = wanted.tolist()
        here: Vector = measured.tolist()
        interventions: list[Intervention] = []
        for rule in self._rules:
            allowed = rule.apply(target, before, here)
            if allowed is not target:
                interventions += [self._intervention((i, rule.name)) for i in _changed(target, allowed)]
                target = allowed
        command = self._motion.follow(target)
        if command != target:
            interventions += map(self._intervention, self._motion.kept_back(target))
        return Verdict(np.array(command), tuple(interventions))

    def _intervention(self, key: tuple[int, str]) -> Intervention:
        """Made once: a moving robot has some in every tick."""
        if key not in self._known:
            joint, rule = key
            self._known[key] = Intervention(rule, self._joints[joint])
        return self._known[key]

    def brake(self) -> Verdict:
        """The next command of coming to rest, and staying there."""
        return Verdict(np.array(self._motion.brake()))


def _changed(target: Vector, allowed: Vector) -> list[int]:
    """The joints that differ; a NaN differs from everything."""
    return [i for i, (x, y) in enumerate(zip(target, allowed, strict=True)) if not abs(x - y) <= ROUNDING]
