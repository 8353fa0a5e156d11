"""Features to the logits of every bin of every number of a chunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_runtime.learn.neighbours import neighbours

__all__ = ["TokenHead"]


class TokenHead(nn.Module):
    """f32[B, F] to f32[B, H * A * V]: chunk rows H, action dimensions A, bins V.

    Every number of the chunk gets ``width`` features of its own, and each action dimension as many curves over its
    bins; the logits are the sum of these curves, each times its feature. A plain linear layer would have F * H * A * V
    weights, most of them redundant: the bins of a joint mean the same in every row.

    The curves are smooth: what is learnt for a bin is learnt, less and less, for those around it, with a standard
    deviation of ``spread``, a share of all bins. The likeliest of 128 bins stands out from the next by a hundredth
    where labels are soft, so with a weight for each bin by itself, noise in the gradient decided which one it was:
    practice made what is drawn better, and what is likeliest worse.
    """

    def __init__(
        self, features: int, rows: int, actions: int, bins: int, width: int = 16, spread: float = 1 / 16
    ) -> None:
        super().__init__()
        self.shape = (rows, actions, width)
        self.project = nn.Linear(features, rows * actions * width)
        self.curves = nn.Parameter(torch.randn(actions, width, bins) / width**0.5)
        self.offset = nn.Parameter(torch.zeros(actions, 1, bins))
        smooth = neighbours(bins, spread * bins)
        # Scaled, so that random curves are as high as random weights for each bin.
        self.register_buffer("smooth", (smooth / smooth.norm(dim=1).mean()).T.contiguous(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        numbers = self.project(features).unflatten(-1, self.shape)
        logits = torch.matmul(numbers.transpose(1, 2), self.curves @ self.smooth) + self.offset @ self.smooth
        return logits.transpose(1, 2).flatten(1)
