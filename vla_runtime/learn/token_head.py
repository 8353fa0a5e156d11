"""Features to the logits of every bin of every number of a chunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["TokenHead"]


class TokenHead(nn.Module):
    """f32[B, F] to f32[B, H * A * V]: chunk rows H, action dimensions A, bins V.

    Every number of the chunk gets ``width`` features of its own, and each action dimension an embedding of its bins;
    a logit is their scalar product. A plain linear layer would have F * H * A * V weights, most of them redundant:
    the bins of a joint mean the same in every row.
    """

    def __init__(self, features: int, rows: int, actions: int, bins: int, width: int = 16) -> None:
        super().__init__()
        self.shape = (rows, actions, width)
        self.project = nn.Linear(features, rows * actions * width)
        self.bins = nn.Parameter(torch.randn(actions, width, bins) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(actions, 1, bins))

    def forward(self, features: Tensor) -> Tensor:
        numbers = self.project(features).unflatten(-1, self.shape)
        logits = torch.matmul(numbers.transpose(1, 2), self.bins) + self.bias
        return logits.transpose(1, 2).flatten(1)
