"""Behaviour cloning with torchrl's BCLoss: an L1 regression on chunks, padded rows left out."""

from __future__ import annotations

import sys
import warnings

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchrl.data import TensorDictReplayBuffer
from torchrl.objectives import BCLoss
from tqdm import tqdm

from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IS_PAD

__all__ = ["make_loss", "train"]


def make_loss(policy: FusedPolicy) -> BCLoss:
    """L1 between predicted and demonstrated normalised chunks, rows marked in ``action_is_pad`` excluded."""
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
    seed: int = 0,
    quiet: bool = True,
) -> list[float]:
    """Train ``policy`` in place with Adam and a cosine schedule; returns the loss of every step.

    Sampling is seeded without touching the caller's generator. The progress bar goes to stderr and only to a terminal.

    Raises:
        ValueError: the policy has a token head, or the loss is not finite.
    """
    if policy.action_head != "continuous":
        raise ValueError(f"behaviour cloning trains the 'continuous' head, given {policy.action_head!r}")
    loss_module = make_loss(policy)
    optimiser = torch.optim.Adam(policy.parameters(), lr=lr)
    schedule = CosineAnnealingLR(optimiser, T_max=max(steps, 1))
    losses: list[float] = []
    policy.train()
    with (
        torch.random.fork_rng(devices=[]),
        tqdm(
            total=steps, desc="vla-train bc", unit="step", file=sys.stderr, disable=quiet or not sys.stderr.isatty()
        ) as bar,
    ):
        torch.manual_seed(seed)
        for step in range(steps):
            loss = loss_module(buffer.sample())["loss_bc"]
            value = float(loss.detach())
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(f"the loss became {value} at step {step}: check the demonstrations and the rate {lr}")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(value)
            bar.update()
            bar.set_postfix(loss=f"{value:.4f}", refresh=False)
    policy.eval()
    return losses
