"""From noise to a chunk in a few Euler steps, held to a chunk that is being executed where one is given.

Prefix conditioning: the rows that will have been executed are given clean (Black et al. 2025, "Training-time action
conditioning for efficient real-time chunking"). Guidance: each step pulls the expected clean chunk towards the previous
one, row by row as its weights say (Black, Galliker, Levine 2025, "Real-time execution of action chunking flow
policies"), with the identity in place of the denoiser's Jacobian:

    v' = v + min(beta, (tau^2 + (1 - tau)^2) / (tau (1 - tau))) * W * (previous - clean)

Both are one affine form. With v = (clean - x) / (1 - tau) and n steps, step k from tau = k / n is

    x' = (1 - share) x + (share - pull) clean + pull previous,    share = 1 / (n - k)

where ``pull`` is min(beta, ...) * W / n, and ``share`` itself on the rows of the prefix, which so come out as they are
given. All pulls are made before the first step, so a step costs one addition more than without. Where nothing is held
they are 0, and the result is the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vla_runtime.learn.denoiser import Denoiser

__all__ = ["BETA", "Previous", "gain", "sample"]

BETA = 5.0
"""The largest guidance weight, as in the paper."""


@dataclass(frozen=True)
class Previous:
    """The chunk to continue, in normalised units, on the new chunk's rows.

    ``chunk`` f32[B, H, A]; rows i < ``delay`` i64[B] are given, the others pulled towards it by ``weights`` f32[B, H].
    """

    chunk: Tensor
    delay: Tensor
    weights: Tensor


def gain(k: int, steps: int) -> float:
    """The guidance of step ``k`` for a weight of 1, times the length of the step."""
    tau = k / steps
    room = tau * (1.0 - tau)
    return min(BETA, (tau**2 + (1.0 - tau) ** 2) / room if room else BETA) / steps


def sample(denoiser: Denoiser, features: Tensor, noise: Tensor, steps: int, previous: Previous | None = None) -> Tensor:
    """f32[B * N, H * A], normalised, B-major, from features f32[B, F] and standard normal noise f32[B, N, H, A]."""
    batch, draws, rows, actions = noise.shape
    if previous is None:
        context, held = _repeat(denoiser.context(features), batch, draws), None
    else:
        context, *held = _held(denoiser, features, noise, steps, previous)
    x = noise.reshape(-1, rows * actions)
    for k in range(steps):
        clean, share = denoiser(x, k / steps, context), 1.0 / (steps - k)
        towards = share * clean if held is None else held[k] * clean + held[steps + k]
        x = towards if k + 1 == steps else (1.0 - share) * x + towards
    return x


def _held(denoiser: Denoiser, features: Tensor, noise: Tensor, steps: int, previous: Previous) -> tuple[Tensor, ...]:
    """The context f32[B * N, D], then f32[B * N, H * A]: share - pull of each step, pull * previous of each step."""
    batch, draws, rows, actions = noise.shape
    shares = torch.tensor([1.0 / (steps - k) for k in range(steps)]).reshape(1, -1, 1)
    gains = torch.tensor([gain(k, steps) for k in range(steps)]).reshape(1, -1, 1)
    given = torch.arange(rows) < previous.delay.unsqueeze(-1)
    pull = torch.where(given.unsqueeze(1), shares, gains * previous.weights.unsqueeze(1)).unsqueeze(-1)
    rest = shares.unsqueeze(-1).expand(1, steps, 1, actions) - pull
    context = denoiser.context(features, given.float(), previous.chunk)
    size = rows * actions
    table = [(values).reshape(-1, steps * size) for values in (rest, pull * previous.chunk.unsqueeze(1))]
    joined = _repeat(torch.cat([context, *table], 1), batch, draws)
    return joined.split([context.shape[1], *[size] * (2 * steps)], 1)


def _repeat(values: Tensor, batch: int, draws: int) -> Tensor:
    """f32[B, D] to f32[B * N, D], one after the other for each of the B."""
    width = values.shape[1]
    return values.unsqueeze(1).expand(batch, draws, width).reshape(-1, width)
