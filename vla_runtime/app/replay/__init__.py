"""Three ways to ask a log whether it still holds: re-execute the loop, re-infer the policy, replay an environment."""

from vla_runtime.app.replay.check import check_loop
from vla_runtime.app.replay.environment import replay_environment
from vla_runtime.app.replay.finding import Finding
from vla_runtime.app.replay.reinfer import policy_for, reinfer

__all__ = ["Finding", "check_loop", "policy_for", "reinfer", "replay_environment"]
