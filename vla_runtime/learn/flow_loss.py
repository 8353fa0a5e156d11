"""The flow-matching loss, with rows that are given clean: what makes a policy that samples, and that continues.

Lipman et al., "Flow matching for generative modeling", ICLR 2023: on the straight way x = tau * x1 + (1 - tau) * x0
from noise x0 to a demonstrated chunk x1 the velocity v(x, tau) is to be x1 - x0. With the denoiser's
v = (clean - x) / (1 - tau) the difference is (clean - x1) / (1 - tau). Its absolute value is taken, not its square, as
our regression does: chunks come out a fifth nearer to the demonstrated ones, and of several ways the more common wins.

Black et al. 2025, "Training-time action conditioning for efficient real-time chunking": the first d rows are given
clean, with flow time 1, and are left out of the loss; d is drawn for each sample.

A demonstrated prefix gives away how the demonstration goes on; on the robot the prefix is what the policy itself
planned, and one that leans on it repeats its own errors. So the given rows go astray, as a plan does that was right
some time ago, and the rows behind them lead back to what was demonstrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.keys import CHUNK, IS_PAD

__all__ = ["FlowLoss", "Prefixes"]


@dataclass(frozen=True)
class Prefixes:
    """How the given rows are drawn.

    Args:
        none: share of the samples without any.
        longest: the others have 1 to this share of the chunk's rows. A robot that meets a longer delay than was trained
            on gets poor chunks, so this is well above what is expected.
        offset: by how much the given rows are off, standard deviation in normalised units.
        drift: by how much more for each chunk length since the plan was right, which is taken to be the delay ago.
        pace: the same, along the way of the chunk, as a fraction of it: the plan was too fast or too slow.
        back: rows behind the prefix on which the target leads back.
    """

    none: float = 0.4
    longest: float = 0.75
    offset: float = 0.15
    drift: float = 0.4
    pace: float = 0.4
    back: int = 4


class FlowLoss(nn.Module):
    """Reads what the policy reads, with normalised chunks and their pad mask; writes ``loss_flow``.

    Args:
        draws: noises, flow times and delays for each image that is looked at, which is the expensive part.
    """

    def __init__(self, policy: FlowPolicy, prefixes: Prefixes | None = None, draws: int = 8) -> None:
        super().__init__()
        self.policy = policy
        self.prefixes = prefixes or Prefixes()
        self.draws = draws

    def forward(self, samples: TensorDictBase) -> TensorDict:
        policy, draws = self.policy, self.draws
        chunk = samples[CHUNK].repeat_interleave(draws, 0)
        real = ~samples[IS_PAD].repeat_interleave(draws, 0)
        delays = self.delays(len(chunk), chunk.shape[1])
        given, chunk = self.astray(chunk, delays)
        # Only the flow times that the sampler asks at.
        steps = policy.sampling_steps
        tau = torch.randint(0, steps, (len(chunk), 1)) / steps
        noisy = tau.unsqueeze(-1) * chunk + (1.0 - tau.unsqueeze(-1)) * torch.randn_like(chunk)
        features = policy.see(*policy.inputs(samples)).repeat_interleave(draws, 0)
        context = policy.denoiser.context(features, given.float(), chunk)
        clean = policy.denoiser(noisy.flatten(1), tau, context).reshape(chunk.shape)
        errors = (clean - chunk).abs() / (1.0 - tau).unsqueeze(-1)
        return TensorDict({"loss_flow": self._mean(errors, real & ~given)})

    def delays(self, count: int, rows: int) -> Tensor:
        """i64[count]: how many rows of each sample are given."""
        longest = max(1, round(self.prefixes.longest * rows))
        some = torch.randint(1, min(longest, rows - 1) + 1, (count,)) if rows > 1 else torch.zeros(count).long()
        return some * (torch.rand(count) >= self.prefixes.none)

    def astray(self, chunk: Tensor, delays: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows are given, bool[B, H], and the chunks f32[B, H, A], the given rows astray and the next ones on the
        way back. A chunk without given rows stays as it is.
        """
        prefixes, (count, rows, actions) = self.prefixes, chunk.shape
        row, delay = torch.arange(rows).reshape(1, -1, 1), delays.reshape(-1, 1, 1)
        since = (row + delay + 2.0 * torch.rand(count, 1, 1)) / rows
        way = chunk[:, -1:] - chunk[:, :1]
        error = prefixes.offset * torch.randn(count, 1, actions) + since * (
            prefixes.drift * torch.randn(count, 1, actions) + prefixes.pace * torch.randn(count, 1, 1) * way
        )
        left = (1.0 - (row - delay + 1) / prefixes.back).clamp(0.0, 1.0)
        share = torch.where(row < delay, 1.0, left * left * (3.0 - 2.0 * left)) * (delay > 0)
        return (row < delay).squeeze(-1), chunk + share * error

    @staticmethod
    def _mean(errors: Tensor, rows: Tensor) -> Tensor:
        """The mean of f32[B, H, A] over the marked rows; 0 if none is."""
        counted = rows.unsqueeze(-1)
        return (errors * counted).sum() / (counted.sum() * errors.shape[-1]).clamp_min(1)
