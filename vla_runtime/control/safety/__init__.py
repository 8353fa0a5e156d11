"""What may be sent: a rule a file for where the robot may be told to go, then the motion that takes it there."""

from vla_runtime.control.safety.chain import SafetyChain, Verdict
from vla_runtime.control.safety.finite import FiniteRule
from vla_runtime.control.safety.lead import LeadRule
from vla_runtime.control.safety.limits import JointLimits
from vla_runtime.control.safety.motion import Motion
from vla_runtime.control.safety.position import PositionRule
from vla_runtime.control.safety.rule import Rule
from vla_runtime.control.safety.velocity import VelocityLimiter

__all__ = [
    "FiniteRule",
    "JointLimits",
    "LeadRule",
    "Motion",
    "PositionRule",
    "Rule",
    "SafetyChain",
    "VelocityLimiter",
    "Verdict",
    "default_chain",
]


def default_chain(limits: JointLimits, period_ns: int) -> SafetyChain:
    """finite → position → lead choose the target; then velocity, acceleration and jerk, or velocity alone."""
    rules: list[Rule] = [FiniteRule(), PositionRule(limits), LeadRule(limits)]
    motion: Motion
    if limits.acceleration is None:
        motion = VelocityLimiter(limits, period_ns)
    else:
        from vla_runtime.control.safety.trajectory import TrajectoryLimiter

        motion = TrajectoryLimiter(limits, period_ns)
    return SafetyChain(limits.joints, rules, motion)
