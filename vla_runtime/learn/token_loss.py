"""The loss of a token head: cross entropy, to labels that are soft towards the neighbouring bins.

The bin next to the demonstrated one is nearly right. A Gaussian over the bins says so (Imani and White, "Improving
regression performance with distributional losses", ICML 2018).
"""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IS_PAD
from vla_runtime.learn.neighbours import neighbours

__all__ = ["TokenLoss"]


class TokenLoss(nn.Module):
    """Reads what the policy reads, with normalised chunks and their pad mask; writes ``loss_tokens``.

    It is the mean over the tokens of rows that are not padded; NaN where a chunk is not finite, which the tokeniser
    would take for the lowest bin.

    Args:
        spread: standard deviation of the labels, as a share of all bins; 0 for the demonstrated bin alone. On ToyVLAEnv
            the most likely of 256 bins succeeded in 0.26 of the episodes with a spread of half a bin, in 0.79 with 4
            bins and in all with 16: what a wide label shapes is a smooth distribution with its peak at the right place.

    Raises:
        ValueError: the policy has no token head or no tokeniser, or the spread is negative.
    """

    def __init__(self, policy: FusedPolicy, spread: float = 1 / 16) -> None:
        super().__init__()
        if policy.action_head != "tokens" or policy.action_tokenizer is None:
            raise ValueError(f"a policy with a token head and its tokeniser is needed, given: {policy.action_head!r}")
        if not 0 <= spread <= 1:
            raise ValueError(f"spread is {spread}, expected 0 to 1, a share of the bins")
        self.policy = policy
        self.register_buffer("labels", neighbours(policy.vocab_size, spread * policy.vocab_size))

    def forward(self, samples: TensorDictBase) -> TensorDict:
        chunk, real = samples[CHUNK], ~samples[IS_PAD]
        # Not the policy's forward: it would write over the chunk, and check logits that a diverged training has spoilt.
        log_p = self.policy._predict_logits(samples).log_softmax(-1)
        tokens = self.policy.action_tokenizer.encode(chunk.nan_to_num())
        entropy = -(self.labels[tokens] * log_p).sum(-1)
        entropy = entropy.where(chunk.isfinite(), torch.nan)
        return TensorDict({"loss_tokens": _mean(entropy, real)})


def _mean(entropy: Tensor, rows: Tensor) -> Tensor:
    """The mean of f32[B, H, A] over the marked rows; 0 if none is."""
    counted = rows.unsqueeze(-1).expand_as(entropy)
    return entropy.where(counted, 0.0).sum() / counted.sum().clamp_min(1)
