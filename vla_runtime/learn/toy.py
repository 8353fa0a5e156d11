"""The toy task: torchrl's ToyVLAEnv in tracking mode, and its oracle's demonstrations.

The state holds the last executed action and the target; success is four executed actions in a row within 0.1 of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.envs import ToyVLAEnv

from vla_runtime.core.instructions import sha1_mod
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import ACTION, EXECUTED, IMAGE, INSTRUCTION_ID, STATE

__all__ = [
    "ACTION_DIM",
    "CAMERA",
    "IMAGE_SIZE",
    "JOINTS",
    "MAX_NOISE",
    "PERIOD_NS",
    "SIZES",
    "TARGETS",
    "collect",
    "facts",
    "make_env",
]

ACTION_DIM = 4
IMAGE_SIZE = 16
CAMERA = "image"
PERIOD_NS = 20_000_000
JOINTS = tuple(f"a{i}" for i in range(ACTION_DIM))
TARGETS = tuple(f"target{i}" for i in range(ACTION_DIM))
INSTRUCTION = "push the T-shaped block onto the target"
MAX_NOISE = 0.6
SIZES: dict[str, Any] = {
    "action_dim": ACTION_DIM,
    "state_dim": 2 * ACTION_DIM,
    "image_shape": (3, IMAGE_SIZE, IMAGE_SIZE),
    "instruction": INSTRUCTION,
    "success_steps": 4,
    "success_tol": 0.1,
}
"""What ToyVLAEnv is made with, unless something else is asked for."""


def make_env(
    batch: Sequence[int] = (), *, seed: int | None = None, success_steps: int = 4, tolerance: float = 0.1
) -> ToyVLAEnv:
    """ToyVLAEnv with 4 actions, 8 state entries and a 3x16x16 image; ``batch`` vectorises it."""
    sizes = SIZES | {"success_steps": success_steps, "success_tol": tolerance}
    return ToyVLAEnv(**sizes, batch_size=tuple(batch), seed=seed)


def facts(chunk_length: int = 8) -> TaskFacts:
    """Chunks of 8 steps of 20 ms; unit "none" throughout."""
    return TaskFacts(
        name="toy",
        actions=dict.fromkeys(JOINTS, "none"),
        state=dict.fromkeys((*(f"{joint}.position" for joint in JOINTS), *TARGETS), "none"),
        cameras={CAMERA: (IMAGE_SIZE, IMAGE_SIZE)},
        instructions=(INSTRUCTION,),
        dt_ns=PERIOD_NS,
        chunk_length=chunk_length,
        state_time="capture",
    )


def collect(episodes: int = 256, steps: int = 24, *, seed: int = 0, text_vocab: int = 256) -> TensorDict:
    """The oracle's demonstrations, TensorDict [episodes, steps] as ``data.chunked`` wants it.

    What is executed is the oracle's action plus noise, of a scale drawn for each row between 0 and 0.6, so the echoed
    action in the state covers the whole range; the label is the oracle's own action (the idea of DART, Laskey et al.
    2017). A policy trained on this knows its way back when the robot is not where the oracle would have been. Episodes
    that succeed begin anew inside their row and are marked in ``("next", "done")``.
    """
    noise = torch.Generator().manual_seed(seed)
    scale = MAX_NOISE * torch.rand(episodes, 1, generator=noise)

    def oracle(state: Tensor) -> tuple[Tensor, Tensor]:
        target = state[..., ACTION_DIM:]
        disturbed = target + scale * torch.randn(target.shape, generator=noise)
        return disturbed.clamp(-1.0, 1.0), target.clone()

    policy = TensorDictModule(oracle, in_keys=[STATE], out_keys=[ACTION, "label"])
    rollout = make_env([episodes], seed=seed).rollout(steps, policy, break_when_any_done=False)
    data = rollout.select(IMAGE, STATE, ("next", "done"))
    data[ACTION] = rollout["label"]
    data[EXECUTED] = rollout[ACTION]
    data[INSTRUCTION_ID] = torch.full(rollout.batch_size, sha1_mod(INSTRUCTION, text_vocab))
    return data
