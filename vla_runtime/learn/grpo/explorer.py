"""A token policy that tries something: tokens drawn with noise that stays the same for a while."""

from __future__ import annotations

import math

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Categorical
from torchrl.envs.utils import ExplorationType, exploration_type

from vla_runtime.learn.decoding import decode_tokens
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, LOG_PROBS, NOISE, TOKENS

__all__ = ["AWAKE", "Explorer"]

AWAKE = "awake"
"""bool[..., 1]: whether an episode is under way."""


class Explorer(TensorDictModuleBase):
    """Asks ``policy`` and draws the tokens of its chunk, with the log-probability of each; acting greedily, it takes
    the likeliest.

    Every token is drawn from the policy's distribution at its temperature, as the quantile of a standard normal number.
    Drawn independently, the rows of a chunk cancel each other out: the arm trembles on the spot, and whether it
    succeeds hardly depends on what was drawn. So a share of their variance, ``coherence``, is the episode's own: under
    ``noise`` f32[..., A] the environment gives a standard normal number for each action dimension, the same for the
    whole episode. All of an episode's actions are then a little more, or a little less, and it fails or succeeds for a
    reason that a gradient can find. The log-probabilities remain those of each token for itself (correlated noise under
    an unchanged objective: Hollenstein, Martius and Piater, "Colored noise in PPO", AAAI 2024).

    Entries that are not ``awake`` are not asked about, and get zeros; without that key all are awake.

    Args:
        varied: bool[A], the action dimensions that something is tried with; None for all. The others get their
            likeliest tokens.
    """

    def __init__(self, policy: FusedPolicy, coherence: float = 0.0, varied: Tensor | None = None) -> None:
        super().__init__()
        self.policy, self.coherence, self.varied = policy, coherence, varied
        self.in_keys, self.out_keys = [*policy.in_keys], [TOKENS, LOG_PROBS, CHUNK]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        flat = tensordict.reshape(-1)
        awake = tensordict.get(AWAKE, None)
        rows = torch.arange(len(flat)) if awake is None else awake.reshape(-1).nonzero().squeeze(-1)
        # Of nobody, one is asked all the same: it says what shapes to write.
        asked = flat[rows if len(rows) else torch.zeros(1, dtype=torch.long)]
        distribution = self.policy.get_dist(asked)
        tokens = self._tokens(distribution, asked.get(NOISE, None))
        answers = tokens, distribution.log_prob(tokens), decode_tokens(self.policy, tokens)
        for key, answer in zip(self.out_keys, answers, strict=True):
            whole = answer.new_zeros(len(flat), *answer.shape[1:])
            whole[rows] = answer[: len(rows)]
            tensordict.set(key, whole.reshape(*tensordict.batch_size, *answer.shape[1:]))
        return tensordict

    def _tokens(self, distribution: Categorical, noise: Tensor | None) -> Tensor:
        if exploration_type() is not ExplorationType.RANDOM:
            return distribution.logits.argmax(-1)
        normal = torch.randn(distribution.batch_shape)
        if noise is not None and self.coherence:
            normal = math.sqrt(self.coherence) * noise.unsqueeze(-2) + math.sqrt(1.0 - self.coherence) * normal
        tokens = quantile_tokens(distribution.probs, torch.special.ndtr(normal))
        return tokens if self.varied is None else tokens.where(self.varied, distribution.logits.argmax(-1))


def quantile_tokens(probabilities: Tensor, quantiles: Tensor) -> Tensor:
    """i64[...]: the first bin up to which ``probabilities`` f32[..., V] add up to more than ``quantiles`` f32[...]."""
    below = probabilities.cumsum(-1) <= quantiles.unsqueeze(-1)
    return below.sum(-1).clamp_max(probabilities.shape[-1] - 1)
