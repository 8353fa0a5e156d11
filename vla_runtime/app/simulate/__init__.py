"""Episodes of the very same loop in virtual time: real code around a simulated device, and no clock but its own."""

from vla_runtime.app.simulate.episode import simulate
from vla_runtime.app.simulate.latency import AT_ONCE, Latency
from vla_runtime.app.simulate.parts import expert_for, instructions_of, open_demonstrator, open_policy
from vla_runtime.app.simulate.scenario import Outcome, Scenario

__all__ = [
    "AT_ONCE",
    "Latency",
    "Outcome",
    "Scenario",
    "expert_for",
    "instructions_of",
    "open_demonstrator",
    "open_policy",
    "simulate",
]
