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
    "default_motion",
]


def default_chain(limits: JointLimits, period_ns: int) -> SafetyChain:
    """finite → position → lead choose the target; then velocity, acceleration and jerk, or velocity alone."""
    rules: list[Rule] = [FiniteRule(), PositionRule(limits), LeadRule(limits)]
    return SafetyChain(limits.joints, rules, default_motion(limits, period_ns))


def default_motion(limits: JointLimits, period_ns: int) -> Motion:
    """The motion inside what ``limits`` limit, a command every ``period_ns``."""
    if limits.acceleration is None:
        return VelocityLimiter(limits, period_ns)
    from vla_runtime.control.safety.trajectory import TrajectoryLimiter

    return TrajectoryLimiter(limits, period_ns)
