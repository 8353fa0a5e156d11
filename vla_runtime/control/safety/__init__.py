"""What may be sent: one rule a file, applied in order to every command after interpolation."""

from vla_runtime.control.safety.chain import Rule, SafetyChain, Verdict
from vla_runtime.control.safety.finite import FiniteRule
from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.position import PositionRule
from vla_runtime.control.safety.step import StepRule

__all__ = ["FiniteRule", "JointLimits", "PositionRule", "Rule", "SafetyChain", "StepRule", "Verdict", "default_chain"]


def default_chain(limits: JointLimits, period_ns: int) -> SafetyChain:
    """finite → position → step, the order in which each may rely on the ones before it."""
    return SafetyChain(limits.joints, [FiniteRule(), PositionRule(limits), StepRule(limits, period_ns)])
