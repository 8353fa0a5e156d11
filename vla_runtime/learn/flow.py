"""A flow-matching chunk policy: it samples chunks, and can continue the one that is being executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from tensordict import TensorDictBase
from torch import Tensor

from vla_runtime.learn.cameras import SightedPolicy
from vla_runtime.learn.denoiser import Denoiser
from vla_runtime.learn.euler import Previous, sample
from vla_runtime.learn.keys import DELAY, NOISE, PREV_CHUNK, WEIGHTS

__all__ = ["FlowPolicy"]


class FlowPolicy(SightedPolicy):
    """Keypoints, state and instruction to a sample of the chunks that were demonstrated.

    Further keys that it reads where they are there, with the batch dimensions B of the others:
        ``noise``: f32[B, H, A], standard normal; else drawn from ``generator`` (None: torch's global one).
        ``prev_chunk`` f32[B, H, A] normalised, ``delay`` i64[B], ``prefix_weights`` f32[B, H]: see ``euler``; all
        of them or none.

    Arguments and errors are those of ``SightedPolicy``, and:

    Args:
        hidden_dim: width of the denoiser.
        sampling_steps: Euler steps from noise to a chunk.
    """

    samples = True

    def __init__(
        self,
        cameras: Mapping[str, tuple[int, int]],
        *,
        action_dim: int,
        chunk_size: int,
        hidden_dim: int = 256,
        sampling_steps: int = 5,
        device: torch.device | str | None = None,
        **sight: object,
    ) -> None:
        super().__init__(cameras, action_dim=action_dim, chunk_size=chunk_size, device=device, **sight)
        if sampling_steps < 1:
            raise ValueError(f"sampling_steps is {sampling_steps}, expected at least 1")
        self.sampling_steps = sampling_steps
        self.generator: torch.Generator | None = None
        self.denoiser = Denoiser(self.features, hidden_dim, chunk_size, action_dim)
        # Convolutions with few channels are up to twice as fast in this layout, forward and backward.
        self.to(device=device, memory_format=torch.channels_last)

    def fuse(
        self,
        images: Sequence[Tensor],
        state: Tensor | None,
        ids: Tensor,
        noise: Tensor | None = None,
        previous: Previous | None = None,
    ) -> Tensor:
        """f32[B * N, H * A]: N chunks for each input, ``noise`` f32[B, N, H, A]; without it one."""
        if noise is None:
            size = (len(ids), 1, self.chunk_size, self.action_dim)
            noise = torch.randn(size, generator=self.generator, device=ids.device)
        return sample(self.denoiser, self.see(images, state, ids), noise, self.sampling_steps, previous)

    def _given(self, tensordict: TensorDictBase) -> dict[str, object]:
        rows, actions = self.chunk_size, self.action_dim
        given: dict[str, object] = {}
        noise = tensordict.get(NOISE, None)
        if noise is not None:
            given["noise"] = noise.reshape(-1, 1, rows, actions)
        found = [tensordict.get(key, None) for key in (PREV_CHUNK, DELAY, WEIGHTS)]
        if any(value is not None for value in found):
            missing = [key for key, value in zip((PREV_CHUNK, DELAY, WEIGHTS), found, strict=True) if value is None]
            if missing:
                raise KeyError(f"no {', '.join(missing)} given, but others of {PREV_CHUNK}, {DELAY}, {WEIGHTS}")
            chunk, delay, weights = found
            given["previous"] = Previous(chunk.reshape(-1, rows, actions), delay.reshape(-1), weights.reshape(-1, rows))
        return given
