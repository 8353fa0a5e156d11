"""The eager path: raw robot inputs to a chunk in physical units, through the torchrl policy and its transforms.

This is what an exported graph is held against, so it goes the training side's way: text, CHW images, a TensorDict,
the tokenizer's own decode and torchrl's ActionScaling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tensordict import NonTensorStack, TensorDict
from torch import Tensor

from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, I64, U8
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, DELAY, IMAGE, INSTRUCTION, LOGITS, NOISE, PREV_CHUNK, STATE, WEIGHTS
from vla_runtime.learn.scaling import Scaling

__all__ = ["eager_chunk", "eager_logits"]


def eager_chunk(
    policy: FusedPolicy,
    spec: PolicySpec,
    images: Mapping[str, U8],
    state: F32,
    texts: Sequence[str],
    *,
    noise: F32 | None = None,
    prev_chunk: F32 | None = None,
    delay: I64 | None = None,
    prefix_weights: F32 | None = None,
) -> F32:
    """Camera name to u8[B, H, W, 3], f32[B, S] and B instructions to f32[B, chunk_length, A] in physical units.

    A policy that samples is called once for each draw of ``noise`` f32[B, N, chunk_length, A] and gives
    f32[B * N, chunk_length, A]. It may be given a chunk to continue, all of it: ``prev_chunk`` f32[B, chunk_length, A]
    in physical units, ``delay`` i64[B], ``prefix_weights`` f32[B, chunk_length].
    """
    scaling = Scaling.from_spec(spec)
    inputs = _inputs(spec, images, state, texts)
    with torch.no_grad():
        if noise is None:
            return scaling.denormalise_action(policy(inputs)[CHUNK]).numpy()
        if prev_chunk is not None and delay is not None and prefix_weights is not None:
            inputs[PREV_CHUNK] = scaling.data_chunk().normalize(torch.from_numpy(prev_chunk))
            inputs[DELAY], inputs[WEIGHTS] = torch.from_numpy(delay), torch.from_numpy(prefix_weights)
        draws = [policy(inputs.copy().set(NOISE, one))[CHUNK] for one in torch.from_numpy(noise).unbind(1)]
        return scaling.denormalise_action(torch.stack(draws, 1).flatten(0, 1)).numpy()


def eager_logits(
    policy: FusedPolicy, spec: PolicySpec, images: Mapping[str, U8], state: F32, texts: Sequence[str]
) -> Tensor:
    """A token policy's logits f32[B, chunk_length, A, V] for the inputs of ``eager_chunk``."""
    with torch.no_grad():
        return policy(_inputs(spec, images, state, texts), logits_only=True)[LOGITS]


def _inputs(spec: PolicySpec, images: Mapping[str, U8], state: F32, texts: Sequence[str]) -> TensorDict:
    pictures = {name: torch.from_numpy(np.ascontiguousarray(images[name].transpose(0, 3, 1, 2))) for name in images}
    inputs = TensorDict({INSTRUCTION: NonTensorStack(*texts)}, [len(texts)])
    inputs[STATE] = Scaling.from_spec(spec).normalise_state(torch.from_numpy(np.ascontiguousarray(state)))
    inputs[IMAGE] = TensorDict(pictures, [len(texts)])
    return inputs
