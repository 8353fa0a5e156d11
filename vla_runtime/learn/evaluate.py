"""The toy task's success rate: the policy in closed loop, greedy, replanning before its chunk is used up."""

from __future__ import annotations

import torch
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import Compose, InitTracker
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MultiStepActorWrapper

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.scaling import Scaling

__all__ = ["toy_success"]


def toy_success(
    policy: FusedPolicy,
    spec: PolicySpec,
    *,
    episodes: int = 200,
    max_steps: int = 40,
    replan_interval: int = 4,
    seed: int = 1,
) -> float:
    """Fraction of ``episodes`` vectorised ToyVLAEnv episodes that succeed within ``max_steps``.

    torchrl's MultiStepActorWrapper executes ``replan_interval`` rows of every chunk; the env's transforms normalise
    the state and denormalise the action.
    """
    scaling = Scaling.from_spec(spec)
    env = TransformedEnv(
        toy.make_env([episodes], seed=seed), Compose(InitTracker(), scaling.observation_norm(), scaling.env_action())
    )
    actor = MultiStepActorWrapper(policy, n_steps=spec.chunk_length, replan_interval=replan_interval)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = env.rollout(max_steps, actor, break_when_any_done=False)
    # Only success ends an episode here, so the first end of a row is the success of its first episode.
    return rollout["next", "success"].flatten(1).any(1).float().mean().item()
