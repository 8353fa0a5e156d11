"""Behaviour cloning: an L1 regression on chunks (torchrl's BCLoss) or flow matching; padded rows are left out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torchrl.data import TensorDictReplayBuffer
from torchrl.objectives import BCLoss

from vla_runtime.core.errors import Fault
from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.flow_loss import FlowLoss, Prefixes
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IS_PAD

__all__ = ["Diverged", "make_loss", "train"]


class Diverged(Fault):
    """The loss is no longer a finite number."""


def make_loss(policy: FusedPolicy, prefixes: Prefixes | None = None) -> nn.Module:
    """Of normalised chunks, rows marked in ``action_is_pad`` excluded: flow matching for a flow policy, with the rows
    that ``prefixes`` gives it clean, else the L1 distance of predicted and demonstrated ones.
    """
    if isinstance(policy, FlowPolicy):
        return FlowLoss(policy, prefixes)
    with warnings.catch_warnings():
        # torchrl 0.14 warns that BCLoss does not annotate the target network that it does not have.
        warnings.filterwarnings("ignore", message="The name target_actor_network_params", category=UserWarning)
        loss = BCLoss(policy, loss_function="l1")
    loss.set_keys(action=CHUNK, pad_mask=IS_PAD)
    return loss


def train(
    policy: FusedPolicy,
    buffer: TensorDictReplayBuffer,
    *,
    steps: int,
    lr: float = 2e-3,
    warm_up: int = 0,
    weight_decay: float = 0.0,
    clip: float = math.inf,
    prefixes: Prefixes | None = None,
    seed: int = 0,
    on_step: Callable[[float], None] = lambda loss: None,
) -> list[float]:
    """Train ``policy`` in place with AdamW; returns the loss of every step.

    The rate rises to ``lr`` in ``warm_up`` steps and falls to 0 along a cosine. Gradients longer than ``clip`` are
    shortened to it. ``prefixes`` are for a flow policy. Sampling is seeded without touching the caller's generator.
    ``on_step`` is told each step's loss.

    Raises:
        ValueError: the policy has a token head.
        Diverged: the loss is not finite.
    """
    if policy.action_head != "continuous":
        raise ValueError(f"behaviour cloning trains the 'continuous' head, given {policy.action_head!r}")
    loss_module = make_loss(policy, prefixes)
    parameters = list(policy.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    schedule = LambdaLR(optimiser, lambda step: _rate(step, steps, warm_up))
    losses: list[float] = []
    policy.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            losses_by_name = loss_module(buffer.sample())
            loss = sum(value for name, value in losses_by_name.items() if name.startswith("loss_"))
            value = float(loss.detach())
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value} at step {step}: check the demonstrations and the rate {lr:g}")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimiser.step()
            schedule.step()
            losses.append(value)
            on_step(value)
    policy.eval()
    return losses


def _rate(step: int, steps: int, warm_up: int) -> float:
    """The learning rate of ``step``, from 0, as a fraction of the highest."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))
