"""Success rates: the policy in closed loop, greedy, replanning before its chunk is used up."""

from __future__ import annotations

import math

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import TransformedEnv
from torchrl.envs.transforms import Compose, InitTracker
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MultiStepActorWrapper

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn import toy
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, STATE
from vla_runtime.learn.noise import noise_images
from vla_runtime.learn.poses import PoseTask
from vla_runtime.learn.scaling import Scaling

__all__ = ["pose_success", "toy_success"]


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


def pose_success(
    policy: FusedPolicy,
    spec: PolicySpec,
    task: PoseTask,
    *,
    time_constant_s: float,
    episodes: int = 200,
    max_seconds: float = 10.0,
    replan_interval: int = 8,
    tolerance: float = 0.05,
    hold_steps: int = 5,
    seed: int = 1,
) -> float:
    """Fraction of ``episodes`` from random starts that settle in the named pose, the poses taken in turn.

    The servos lag by first order: position += (command - position) * (1 - exp(-dt / time_constant_s)). Success is
    ``hold_steps`` steps in a row with every joint within ``tolerance`` of the pose. Images are noise.
    """
    random = torch.Generator().manual_seed(seed)
    scaling = Scaling.from_spec(spec)
    low, high = torch.tensor(task.low), torch.tensor(task.high)
    which = torch.arange(episodes) % len(task.poses)
    target = task.targets()[which]
    ids = torch.tensor([sha1_mod(text, policy.text_vocab) for text in task.poses])[which]
    position = low + (high - low) * torch.rand(target.shape, generator=random)
    follow = 1.0 - math.exp(-task.dt_s / time_constant_s) if time_constant_s > 0 else 1.0
    streak = torch.zeros(episodes, dtype=torch.long)
    done = torch.zeros(episodes, dtype=torch.bool)
    chunk = torch.empty(0)
    for step in range(math.ceil(max_seconds / task.dt_s)):
        if step % replan_interval == 0:
            chunk = _plan(policy, scaling, task, position, ids, random)
        command = chunk[:, step % replan_interval].clamp(low, high)
        position = position + (command - position) * follow
        close = ((position - target).abs() <= tolerance).all(-1)
        streak = torch.where(close, streak + 1, 0)
        done |= streak >= hold_steps
        if done.all():
            break
    return done.float().mean().item()


def _plan(
    policy: FusedPolicy, scaling: Scaling, task: PoseTask, position: Tensor, ids: Tensor, random: torch.Generator
) -> Tensor:
    inputs = TensorDict({INSTRUCTION_ID: ids}, [len(ids)])
    inputs[STATE] = scaling.normalise_state(position)
    inputs[IMAGE] = noise_images(task.cameras, inputs.batch_size, random)
    with torch.no_grad():
        return scaling.denormalise_action(policy(inputs)[CHUNK])
