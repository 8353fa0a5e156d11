"""The policy as a plain-tensor graph, with everything inside that could skew between training and robot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.euler import Previous
from vla_runtime.learn.normalise import clamped
from vla_runtime.learn.scaling import Scaling

__all__ = ["CONTINUATION", "PolicyGraph", "example_inputs", "input_names"]

CONTINUATION = ("prev_chunk", "delay", "prefix_weights")
"""The inputs of a graph that continues a chunk."""


class PolicyGraph(nn.Module):
    """Raw robot inputs to physical actions.

    Inputs, in this order: ``image.<camera>`` u8[B, H, W, 3] for each camera of the contract in its order, ``state``
    f32[B, S] in physical units, ``instruction_id`` i64[B]. Output: ``action_chunk`` f32[B, chunk_length, A] in physical
    units. Cast, division by 255, layout, state normalisation, the token head's argmax and decoding, the sampling loop
    and denormalisation all happen here. B is dynamic.

    A policy that samples takes ``noise`` f32[B, N, chunk_length, A] too, N dynamic, and its output is f32[B * N, ...].
    If it ``continues``, so do ``prev_chunk`` f32[B, chunk_length, A] in physical units, ``delay`` i64[B] and
    ``prefix_weights`` f32[B, chunk_length].
    """

    def __init__(self, checkpoint: Checkpoint, *, continues: bool = True) -> None:
        super().__init__()
        spec, policy = checkpoint.spec, checkpoint.policy
        self.policy = policy
        self.cameras = len(spec.cameras)
        self.tokens = spec.head == "tokens"
        self.samples = policy.samples
        self.continues = policy.samples and continues
        self.chunk_shape = (spec.chunk_length, len(spec.actions))
        scaling = Scaling.from_spec(spec)
        for name in ("state_mean", "state_std", "state_limit", "action_mean", "action_std", "action_limit"):
            self.register_buffer(name, getattr(scaling, name))
        if self.tokens:
            bins = policy.action_tokenizer
            width = (bins.high - bins.low) / bins.num_bins
            self.register_buffer("bin_width", width)
            self.register_buffer("bin_centre", bins.low + 0.5 * width)

    def forward(self, *inputs: Tensor) -> Tensor:
        images, (state, ids, *given) = inputs[: self.cameras], inputs[self.cameras :]
        scaled = [image.permute(0, 3, 1, 2).float() / 255.0 for image in images]
        if self.continues:
            noise, chunk, delay, weights = given
            given = [noise, Previous(self._normalised(chunk, "action"), delay, weights)]
        out = self.policy.fuse(scaled, self._normalised(state, "state"), ids, *given)
        if self.tokens:
            logits = out.unflatten(-1, (*self.chunk_shape, self.policy.vocab_size))
            normalised = self.bin_centre + logits.argmax(-1).to(self.bin_width.dtype) * self.bin_width
        else:
            normalised = out.unflatten(-1, self.chunk_shape)
        return clamped(normalised, self.action_limit) * self.action_std + self.action_mean

    def _normalised(self, values: Tensor, what: str) -> Tensor:
        mean, std, limit = (getattr(self, f"{what}_{part}") for part in ("mean", "std", "limit"))
        return clamped((values - mean) / std, limit)


def input_names(spec: PolicySpec, *, continues: bool = True) -> list[str]:
    """The graph's inputs in order."""
    names = [*(f"image.{camera.name}" for camera in spec.cameras), "state", "instruction_id"]
    if spec.head == "flow":
        names += ["noise", *(CONTINUATION if continues else ())]
    return names


def example_inputs(spec: PolicySpec, batch: int = 2, *, continues: bool = True) -> tuple[Tensor, ...]:
    """Inputs to trace with. A batch of one would be specialised on, so two is the least."""
    rows, actions = spec.chunk_length, len(spec.actions)
    images = [torch.zeros(batch, camera.height, camera.width, 3, dtype=torch.uint8) for camera in spec.cameras]
    further = [torch.zeros(batch, len(spec.state)), torch.zeros(batch, dtype=torch.int64)]
    if spec.head == "flow":
        further += [torch.zeros(batch, batch + 1, rows, actions)]
    if spec.head == "flow" and continues:
        further += [
            torch.zeros(batch, rows, actions), torch.zeros(batch, dtype=torch.int64), torch.zeros(batch, rows)
        ]  # fmt: skip
    return (*images, *further)
