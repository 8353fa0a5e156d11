"""The policy as a plain-tensor graph, with everything inside that could skew between training and robot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exporters.told import Told
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.decoding import decode_tokens
from vla_runtime.learn.euler import Previous
from vla_runtime.learn.normalise import clamped
from vla_runtime.learn.scaling import Scaling

__all__ = ["CONTINUATION", "PolicyGraph", "example_inputs", "input_names"]

CONTINUATION = ("prev_chunk", "delay", "prefix_weights")
"""The inputs of a graph that continues a chunk."""


class PolicyGraph(nn.Module):
    """Raw robot inputs to physical actions.

    Inputs, those of ``input_names`` in that order: ``image.<camera>`` u8[B, H, W, 3] for each camera of the contract in
    its order, ``state`` f32[B, S] in physical units unless S is 0, and what the contract's instruction encoding says:
    ``instruction_id`` i64[B], ``instruction_tokens`` i64[B, L] or nothing. Output: ``action_chunk`` f32[B,
    chunk_length, A] in physical units. Cast, division by 255, layout, state normalisation, the token head's argmax and
    decoding, the sampling loop and denormalisation all happen here. B is dynamic.

    A policy that samples takes ``noise`` f32[B, N, chunk_length, A] too, N dynamic, and its output is f32[B * N, ...].
    If it ``continues``, so do ``prev_chunk`` f32[B, chunk_length, A] in physical units, ``delay`` i64[B] and
    ``prefix_weights`` f32[B, chunk_length].
    """

    def __init__(self, checkpoint: Checkpoint, *, continues: bool = True) -> None:
        super().__init__()
        spec, policy = checkpoint.spec, checkpoint.policy
        self.policy = policy
        self.told = Told(policy, spec.instruction)
        self.names = input_names(spec, continues=continues)
        self.cameras = [f"image.{camera.name}" for camera in spec.cameras]
        self.tokens = spec.head == "tokens"
        self.samples = policy.samples
        self.continues = policy.samples and continues
        self.chunk_shape = (spec.chunk_length, len(spec.actions))
        scaling = Scaling.from_spec(spec)
        for name in ("state_mean", "state_std", "state_limit", "action_mean", "action_std", "action_limit"):
            self.register_buffer(name, getattr(scaling, name))

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.names, inputs, strict=True))
        images = [given[name].permute(0, 3, 1, 2).float() / 255.0 for name in self.cameras]
        state = self._normalised(given["state"], "state") if "state" in given else None
        further = [given["noise"]] if self.samples else []
        if self.continues:
            chunk, delay, weights = (given[name] for name in CONTINUATION)
            further.append(Previous(self._normalised(chunk, "action"), delay, weights))
        out = self.policy.fuse(images, state, self.told(given, images[0].shape[0]), *further)
        if self.tokens:
            logits = out.unflatten(-1, (*self.chunk_shape, self.policy.vocab_size))
            normalised = decode_tokens(self.policy, logits.argmax(-1))
        else:
            normalised = out.unflatten(-1, self.chunk_shape)
        return clamped(normalised, self.action_limit) * self.action_std + self.action_mean

    def _normalised(self, values: Tensor, what: str) -> Tensor:
        mean, std, limit = (getattr(self, f"{what}_{part}") for part in ("mean", "std", "limit"))
        return clamped((values - mean) / std, limit)


def input_names(spec: PolicySpec, *, continues: bool = True) -> list[str]:
    """The graph's inputs in order."""
    names = [f"image.{camera.name}" for camera in spec.cameras]
    names += ["state"] if spec.state else []
    names += spec.instruction.shapes()
    if spec.head == "flow":
        names += ["noise", *(CONTINUATION if continues else ())]
    return names


def example_inputs(spec: PolicySpec, batch: int = 2, *, continues: bool = True) -> tuple[Tensor, ...]:
    """Inputs to trace with. A batch of one would be specialised on, so two is the least."""
    rows, actions = spec.chunk_length, len(spec.actions)
    examples = {
        f"image.{camera.name}": torch.zeros(batch, camera.height, camera.width, 3, dtype=torch.uint8)
        for camera in spec.cameras
    }
    examples["state"] = torch.zeros(batch, len(spec.state))
    text = spec.instruction.encode(spec.instruction.texts[0])
    examples |= {name: torch.from_numpy(ids) for name, ids in spec.instruction.inputs([text] * batch).items()}
    examples["noise"] = torch.zeros(batch, batch + 1, rows, actions)
    examples["prev_chunk"] = torch.zeros(batch, rows, actions)
    examples["delay"] = torch.zeros(batch, dtype=torch.int64)
    examples["prefix_weights"] = torch.zeros(batch, rows)
    return tuple(examples[name] for name in input_names(spec, continues=continues))
