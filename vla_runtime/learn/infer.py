"""The eager path: raw robot inputs to a chunk in physical units, through the torchrl policy and its transforms.

This is what an exported graph is held against, so it goes the training side's way: text, CHW images, a TensorDict,
the tokenizer's own decode and torchrl's ActionScaling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tensordict import NonTensorStack, TensorDict

from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION, STATE
from vla_runtime.learn.scaling import Scaling

__all__ = ["eager_chunk"]


def eager_chunk(
    policy: FusedPolicy, spec: PolicySpec, images: Mapping[str, U8], state: F32, texts: Sequence[str]
) -> F32:
    """Camera name to u8[B, H, W, 3], f32[B, S] and B instructions to f32[B, chunk_length, A] in physical units."""
    scaling = Scaling.from_spec(spec)
    pictures = {name: torch.from_numpy(np.ascontiguousarray(images[name].transpose(0, 3, 1, 2))) for name in images}
    inputs = TensorDict({INSTRUCTION: NonTensorStack(*texts)}, [len(texts)])
    inputs[STATE] = scaling.normalise_state(torch.from_numpy(np.ascontiguousarray(state)))
    inputs[IMAGE] = TensorDict(pictures, [len(texts)])
    with torch.no_grad():
        chunk = policy(inputs)[CHUNK]
        return scaling.denormalise_action(chunk).numpy()
