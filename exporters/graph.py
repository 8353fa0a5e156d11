"""The policy as a plain-tensor graph, with everything inside that could skew between training and robot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["PolicyGraph", "example_inputs", "input_names"]


class PolicyGraph(nn.Module):
    """Raw robot inputs to physical actions.

    Inputs, in this order: ``image.<camera>`` u8[B, H, W, 3] for each camera of the contract in its order, ``state``
    f32[B, S] in physical units, ``instruction_id`` i64[B]. Output: ``action_chunk`` f32[B, chunk_length, A] in physical
    units. Cast, division by 255, layout, state normalisation, the token head's argmax and decoding, and denormalisation
    all happen here. B is dynamic.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        spec, policy = checkpoint.spec, checkpoint.policy
        self.policy = policy
        self.cameras = len(spec.cameras)
        self.tokens = spec.head == "tokens"
        self.chunk_shape = (spec.chunk_length, len(spec.actions))
        for name in ("state_mean", "state_std", "action_mean", "action_std"):
            self.register_buffer(name, torch.tensor(getattr(spec.normalisation, name)))
        if self.tokens:
            bins = policy.action_tokenizer
            width = (bins.high - bins.low) / bins.num_bins
            self.register_buffer("bin_width", width)
            self.register_buffer("bin_centre", bins.low + 0.5 * width)

    def forward(self, *inputs: Tensor) -> Tensor:
        images, (state, ids) = inputs[: self.cameras], inputs[self.cameras :]
        scaled = [image.permute(0, 3, 1, 2).float() / 255.0 for image in images]
        out = self.policy.fuse(scaled, (state - self.state_mean) / self.state_std, ids)
        if self.tokens:
            logits = out.unflatten(-1, (*self.chunk_shape, self.policy.vocab_size))
            normalised = self.bin_centre + logits.argmax(-1).to(self.bin_width.dtype) * self.bin_width
        else:
            normalised = out.unflatten(-1, self.chunk_shape)
        return normalised * self.action_std + self.action_mean


def input_names(spec: PolicySpec) -> list[str]:
    """The graph's inputs in order."""
    return [*(f"image.{camera.name}" for camera in spec.cameras), "state", "instruction_id"]


def example_inputs(spec: PolicySpec, batch: int = 2) -> tuple[Tensor, ...]:
    """Inputs to trace with. A batch of one would be specialised on, so two is the least."""
    images = [torch.zeros(batch, camera.height, camera.width, 3, dtype=torch.uint8) for camera in spec.cameras]
    return (*images, torch.zeros(batch, len(spec.state)), torch.zeros(batch, dtype=torch.int64))
