"""Bins are an order, not names: what is said of one is nearly true of the next."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["neighbours"]


def neighbours(bins: int, spread: float) -> Tensor:
    """f32[bins, bins]: for each bin a distribution over all, Gaussian, ``spread`` bins its deviation; 0 for itself."""
    if spread == 0:
        return torch.eye(bins)
    distance = torch.arange(bins)[:, None] - torch.arange(bins)
    return (-0.5 * (distance / spread) ** 2).softmax(-1)
