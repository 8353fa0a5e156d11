"""openpi-client: its Runtime, PolicyAgent and ActionChunkBroker, as in openpi's ALOHA example.

Half of each chunk is executed, as there (25 of 50). The policy answers in the same process, where openpi would ask a
server over a socket: this spares it the way there and back.
"""

from __future__ import annotations

import numpy as np
from fake import Arm, Policy, Setting, cost, report, resampled, setting
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.base_policy import BasePolicy
from openpi_client.runtime.agents.policy_agent import PolicyAgent
from openpi_client.runtime.environment import Environment
from openpi_client.runtime.runtime import Runtime


class Planner(BasePolicy):
    def __init__(self, run: Setting) -> None:
        self._policy, self._period_s = Policy.of(run), run.period_s

    def infer(self, obs: dict) -> dict:
        return {"actions": resampled(self._policy.infer(obs["state"]), self._period_s)}


class Cached(BasePolicy):
    def infer(self, obs: dict) -> dict:
        return {"actions": np.zeros((1000, 6), dtype=np.float32)}


class World(Environment):
    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def reset(self) -> None: ...

    def is_episode_complete(self) -> bool:
        return self._arm.over

    def get_observation(self) -> dict:
        return {"state": self._arm.now()}

    def apply_action(self, action: dict) -> None:
        self._arm.command(action["actions"])


def main() -> None:
    run = setting()
    if run.cost_only:
        broker = ActionChunkBroker(Cached(), action_horizon=1000)
        broker.infer({})
        report(("openpi-client", "numpy"), step_us=cost(broker.infer, [{}] * 500))
        return
    arm = Arm(run.seconds)
    agent = PolicyAgent(ActionChunkBroker(Planner(run), action_horizon=run.replan))
    Runtime(World(arm), agent, subscribers=[], max_hz=run.rate_hz, num_episodes=1).run()
    arm.save(run.commands)
    report(("openpi-client", "numpy"), action_horizon=run.replan)


if __name__ == "__main__":
    main()
