"""What a flow-matching policy learns: a noisy chunk and how noisy it is, to the clean one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Denoiser"]

_WAVES = 8


class Denoiser(nn.Module):
    """An MLP on flattened, normalised chunks; at flow time tau a chunk is x = tau * clean + (1 - tau) * noise.

    It predicts the clean chunk, which says the same as the velocity: v = (clean - x) / (1 - tau). The noisy chunk goes
    in as tau * x, so pure noise (tau = 0), which tells nothing, changes nothing. What does not depend on x or tau is
    computed once for all steps, in ``context``.

    Args:
        features: F, width of what is seen.
        hidden_dim: D, width of the MLP.
        rows, action_dim: H and A.
    """

    def __init__(self, features: int, hidden_dim: int, rows: int, action_dim: int) -> None:
        super().__init__()
        size = rows * action_dim
        self.seen = nn.Sequential(nn.Linear(features, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim))
        self.given = nn.Linear(rows, hidden_dim, bias=False)
        self.prefix = nn.Linear(size, hidden_dim, bias=False)
        self.time = nn.Linear(_WAVES, 2 * hidden_dim, bias=False)
        self.noisy = nn.Linear(size, hidden_dim, bias=False)
        self.middle = nn.Linear(hidden_dim, hidden_dim)
        self.clean = nn.Linear(hidden_dim, size)
        self.register_buffer("waves", math.pi * torch.arange(_WAVES), persistent=False)

    def context(self, features: Tensor, given: Tensor | None = None, chunk: Tensor | None = None) -> Tensor:
        """f32[B, D] from features f32[B, F].

        ``given`` f32[B, H] is 1 on the rows that are known, flow time 1, else 0; ``chunk`` f32[B, H, A] is read on them
        alone. Without known rows the result is the same to the last bit as without these two.
        """
        seen = self.seen(features)
        if given is None or chunk is None:
            return seen
        prefix = (given.unsqueeze(-1) * chunk).flatten(1)
        return torch.addmm(torch.addmm(seen, given, self.given.weight.t()), prefix, self.prefix.weight.t())

    def forward(self, x: Tensor, tau: Tensor | float, context: Tensor) -> Tensor:
        """f32[B, H * A] noisy to clean. ``tau`` is f32[B, 1], or one number: a part of an exported graph's weights."""
        fixed = isinstance(tau, float)
        times = torch.full((1, 1), tau) if fixed else tau
        first, second = self.time(torch.cos(times * self.waves)).chunk(2, dim=-1)
        shift = context + first
        if fixed:
            noisy = shift if tau == 0.0 else torch.addmm(shift, x, self.noisy.weight.t(), alpha=tau)
        else:
            noisy = torch.addmm(shift, tau * x, self.noisy.weight.t())
        middle = torch.addmm(self.middle.bias + second, torch.relu(noisy), self.middle.weight.t())
        return self.clean(torch.relu(middle))
