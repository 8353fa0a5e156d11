"""A convolutional chunk policy that answers with the whole chunk at once: regressed, or as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vla_runtime.learn.cameras import SightedPolicy
from vla_runtime.learn.token_head import TokenHead

__all__ = ["VisuomotorPolicy"]


class VisuomotorPolicy(SightedPolicy):
    """Keypoints of every camera, the normalised state and the instruction to a chunk, all in one MLP.

    Arguments and errors are those of ``SightedPolicy``; ``hidden_dim`` is the width of the MLP. With ``action_head``
    "tokens" each number of the chunk is one of ``vocab_size`` bins, which ``action_tokenizer`` decodes.
    """

    heads = ("continuous", "tokens")

    def __init__(
        self,
        cameras: Mapping[str, tuple[int, int]],
        *,
        action_dim: int,
        chunk_size: int,
        hidden_dim: int = 256,
        vocab_size: int | None = None,
        device: torch.device | str | None = None,
        **sight: object,
    ) -> None:
        super().__init__(
            cameras, action_dim=action_dim, chunk_size=chunk_size, vocab_size=vocab_size, device=device, **sight
        )
        self.trunk = nn.Sequential(
            nn.Linear(self.features, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU()
        )
        if vocab_size is None:
            self.head: nn.Module = nn.Linear(hidden_dim, chunk_size * action_dim)
        else:
            self.head = TokenHead(hidden_dim, chunk_size, action_dim, vocab_size)
        # Convolutions with few channels are up to twice as fast in this layout, forward and backward.
        self.to(device=device, memory_format=torch.channels_last)

    def fuse(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        return self.head(self.trunk(self.see(images, state, ids)))
