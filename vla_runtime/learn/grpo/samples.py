"""Rounds of episodes to what the policy learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from vla_runtime.learn.grpo.advantage import group_advantages
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, LOG_PROBS, STATE, TOKENS

__all__ = ["ADVANTAGE", "ROWS", "Episodes", "samples_of", "succeeded"]

ADVANTAGE = "advantage"
ROWS = "rows"
"""i64[..., 1], beside what is shown next: how many rows of the chunk were executed."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """``samples``: TensorDict [N], a chunk each, of the episodes in mixed groups; may be empty. ``success``: of all
    episodes; ``mixed``: the share of them in mixed groups; ``chunks``: how many were executed in all.
    """

    samples: TensorDict
    success: float
    mixed: float
    chunks: int


def succeeded(rounds: TensorDict) -> Tensor:
    """bool[episodes]: which of ``rounds`` [episodes, steps] succeeded."""
    return (rounds["next", "success"].squeeze(-1) & _real(rounds)).any(1)


def samples_of(rounds: TensorDict, group_size: int, varied: Tensor | None = None) -> Episodes:
    """From ``rounds`` [episodes, steps], groups side by side.

    A chunk's advantage f32[N, H, A, 1] is that of its episode, shared among the chunks of the episode: each episode
    weighs the same, as in GRPO, else long failures would outweigh quick successes. It stands in the rows that were
    executed, and in the dimensions that were ``varied`` bool[A] (None: all); what was not executed, or was the same in
    every episode, is no cause of anything, and has 0.
    """
    real, success = _real(rounds), succeeded(rounds)
    groups = group_advantages(success.float(), group_size)
    kept = real & groups.keep[:, None]
    samples = rounds.select(IMAGE, STATE, INSTRUCTION_ID, TOKENS, LOG_PROBS)[kept]
    lengths = real.sum(1, keepdim=True)
    shared = groups.advantage if groups.empty else groups.advantage * lengths[groups.keep].float().mean() / lengths
    samples[ADVANTAGE] = _over_rows(
        shared.expand_as(kept)[kept], samples[TOKENS].shape[1:], rounds["next", ROWS].squeeze(-1)[kept]
    )
    if varied is not None:
        samples[ADVANTAGE] = samples[ADVANTAGE] * varied[:, None]
    return Episodes(samples, success.float().mean().item(), groups.keep.float().mean().item(), int(real.sum()))


def _real(rounds: TensorDict) -> Tensor:
    """bool[episodes, steps]: up to the end of each row's episode; what follows belongs to none."""
    done = rounds["next", "done"].squeeze(-1)
    return done.cumsum(1) - done.long() == 0


def _over_rows(advantages: Tensor, shape: torch.Size, rows: Tensor) -> Tensor:
    executed = torch.arange(shape[0]) < rows[:, None]
    weight = executed * (shape[0] / executed.sum(1, keepdim=True).clamp_min(1))
    return (advantages[:, None] * weight)[:, :, None, None].expand(-1, *shape, 1)
