"""Eyes that see *where* the things are that the instruction names, shared by our convolutional policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor, nn

from vla_runtime.learn.fused import FusedPolicy

__all__ = ["CameraEncoder", "SightedPolicy", "SpatialSoftmax"]

_LARGE = 128  # pixels: a camera with a longer side is looked at in steps of 4 instead of 2


class SpatialSoftmax(nn.Module):
    """Feature maps to the places where they are active (Finn et al. 2016, "Deep spatial autoencoders").

    f32[B, K, H, W] to f32[B, 2 K]: for each map the expected (x, y) under a softmax over its pixels, in -1..1 from edge
    to edge of the image. The softmax's temperature is learnt, one for all maps.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        y = (2.0 * torch.arange(height) + 1.0) / height - 1.0
        x = (2.0 * torch.arange(width) + 1.0) / width - 1.0
        self.register_buffer("places", torch.cartesian_prod(y, x).flip(-1).contiguous())
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        attention = (maps.flatten(-2) * self.log_sharpness.exp()).softmax(-1)
        return (attention @ self.places).flatten(1)


class CameraEncoder(nn.Module):
    """One camera's image f32[B, 3, H, W] in 0..1 and the instruction's embedding f32[B, E] to keypoints f32[B, 2 K].

    Three convolutions, the first and (for images up to 128 pixels) the second with stride 2; on a larger image the
    first takes steps of 4. The instruction scales and shifts every channel of the second and third (FiLM, Perez et al.
    2018), so that the maps are of the thing that it names.
    """

    def __init__(self, size: tuple[int, int], channels: int, keypoints: int, text_dim: int) -> None:
        super().__init__()
        first = 4 if max(size) > _LARGE else 2
        widths = (channels, 2 * channels, 2 * channels)
        self.look = nn.Conv2d(3, widths[0], 2 * first + 1, stride=first, padding=first)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=stride, padding=1)
            for (before, after), stride in zip(pairwise(widths), (2, 1), strict=True)
        )
        self.films = nn.ModuleList(nn.Linear(text_dim, 2 * width) for width in widths[1:])
        self.maps = nn.Conv2d(widths[-1], keypoints, 1)
        rows, columns = (ceil(ceil(side / first) / 2) for side in size)
        self.keypoints = SpatialSoftmax(rows, columns)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        x = torch.relu(self.look(2.0 * image - 1.0))
        for convolution, film in zip(self.convolutions, self.films, strict=True):
            scale, shift = film(text)[..., None, None].chunk(2, dim=1)
            x = torch.relu(convolution(x) * (1.0 + scale) + shift)
        return self.keypoints(self.maps(x))


class SightedPolicy(FusedPolicy):
    """Keypoints of every camera, the normalised state and the instruction, joined to features f32[B, F].

    Each camera has an encoder of its own, so sizes may differ. Everything else is as ``FusedPolicy`` and
    ``VLAWrapperBase`` say; ``vla`` are the latter's arguments.

    Args:
        cameras: name to (height, width), in order.
        state_dim: state inputs S; ignored without ``use_state``.
        channels: of the first convolution; the others have twice as many.
        keypoints: for each camera.

    Raises:
        ValueError: no camera, or a head that the policy does not have.
    """

    features: int
    heads: tuple[str, ...] = ("continuous",)

    def __init__(
        self,
        cameras: Mapping[str, tuple[int, int]],
        *,
        state_dim: int,
        action_dim: int,
        chunk_size: int,
        action_head: str = "continuous",
        channels: int = 16,
        keypoints: int = 16,
        text_vocab: int = 256,
        text_dim: int = 32,
        device: torch.device | str | None = None,
        **vla: object,
    ) -> None:
        name = type(self).__name__
        if action_head not in self.heads:
            raise ValueError(f"a {name} has a {' or '.join(map(repr, self.heads))} head, {action_head!r} given")
        if not cameras:
            raise ValueError(f"a {name} needs a camera, none given")
        super().__init__(action_dim=action_dim, chunk_size=chunk_size, action_head=action_head, device=device, **vla)
        self.cameras = tuple(cameras)
        self.text_vocab = int(text_vocab)
        self.text_embedding = nn.Embedding(text_vocab, text_dim)
        self.encoders = nn.ModuleList(CameraEncoder(size, channels, keypoints, text_dim) for size in cameras.values())
        self.features = 2 * keypoints * len(cameras) + text_dim + (state_dim if self.use_state else 0)

    def see(self, images: Sequence[Tensor], state: Tensor | None, ids: Tensor) -> Tensor:
        """What ``fuse`` is given, to f32[B, F]."""
        text = self.text_embedding(ids)
        parts = [encoder(image, text) for encoder, image in zip(self.encoders, images, strict=True)]
        parts += [text] if state is None else [state, text]
        return torch.cat(parts, dim=-1)
