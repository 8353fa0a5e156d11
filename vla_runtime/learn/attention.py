"""The transformer's layers, written out: torch's own take another path in evaluation, which no exporter follows."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Block"]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.both, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        query = self._split(self.query(asking))
        key, value = (self._split(part) for part in self.both(asked).chunk(2, dim=-1))
        found = F.scaled_dot_product_attention(query, key, value)
        return self.out(found.transpose(1, 2).flatten(-2))

    def _split(self, x: Tensor) -> Tensor:
        """f32[B, N, width] to f32[B, heads, N, width / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """One layer of a transformer, normalised before each part (Xiong et al. 2020): f32[B, N, width] to the same.

    ``crosses``: after looking at itself it looks at a memory f32[B, M, width], as a decoder does.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, crosses: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width) if crosses else None
        self.cross = _Attention(width, heads) if crosses else None
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        normal = self.norm(x)
        x = x + self.attention(normal, normal)
        if self.cross is not None and self.cross_norm is not None:
            x = x + self.cross(self.cross_norm(x), memory)
        return x + self.mix(x)
