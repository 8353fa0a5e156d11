"""A convolutional chunk policy that regresses the whole chunk from what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vla_runtime.learn.cameras import SightedPolicy

__all__ = ["VisuomotorPolicy"]


class VisuomotorPolicy(SightedPolicy):
    """Keypoints of every camera, the normalised state and the instruction to a chunk, all in one MLP.

    Arguments and errors are those of ``SightedPolicy``; ``hidden_dim`` is the width of the MLP.
    """

    def __init__(
        self,
        cameras: Mapping[str, tuple[int, int]],
        *,
        action_dim: int,
        chunk_size: int,
        hidden_dim: int = 256,
        device: torch.device | str | None = None,
        **sight: object,
    ) -> None:
        super().__init__(cameras, action_dim=action_dim, chunk_size=chunk_size, device=device, **sight)
        self.trunk = nn.Sequential(
            nn.Linear(self.features, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU()
        )
        self.head = nn.Linear(hidden_dim, chunk_size * action_dim)
        # Convolutions with few channels are up to twice as fast in this layout, forward and backward.
        self.to(device=device, memory_format=torch.channels_last)

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        return self.head(self.trunk(self.see(images, state, ids)))
