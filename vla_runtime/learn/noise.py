"""Images that mean nothing, drawn anew for every sample so that there is nothing to learn by heart."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.envs.transforms import Transform

from vla_runtime.learn.keys import IMAGE

__all__ = ["NoiseImages", "noise_images"]


def noise_images(
    cameras: Mapping[str, tuple[int, int]], batch: torch.Size, generator: torch.Generator | None = None
) -> TensorDict:
    """Camera name to u8[*batch, 3, H, W], uniform noise."""
    return TensorDict(
        {
            name: torch.randint(0, 256, (*batch, 3, height, width), dtype=torch.uint8, generator=generator)
            for name, (height, width) in cameras.items()
        },
        batch,
    )


class NoiseImages(Transform):
    """Gives each batch sampled from a replay buffer fresh noise from every camera; nothing is stored."""

    def __init__(self, cameras: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(in_keys=[], out_keys=[])
        self.cameras = dict(cameras)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set(IMAGE, noise_images(self.cameras, tensordict.batch_size))
