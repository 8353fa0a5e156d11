"""Demonstrations to training samples: chunks that never leave their episode, ids instead of text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict
from torchrl.data import SamplerWithoutReplacement, TensorDictReplayBuffer
from torchrl.envs.transforms import ActionChunkTransform, Compose, Transform

from vla_runtime.learn.keys import ACTION, CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.store.rows import Rows, RowStorage

__all__ = ["chunked", "sample_buffer"]


def chunked(demonstrations: TensorDict, chunk_length: int) -> TensorDict:
    """One flat sample for each step of ``demonstrations`` [N, T].

    Each of the N rows is a stretch of time. Rows are chunked one by one and cut where ``("next", "done")`` ends an
    episode inside them; what would lie past an end repeats the last action and is marked in ``action_is_pad``
    (True = padded). Chunks are built before the samples are stored, so no sampler can mix two episodes.

    Args:
        demonstrations: image u8[N, T, 3, H, W] (or by camera, or none), state f32[N, T, S], instruction_id i64[N, T],
            action f32[N, T, A], ("next", "done") bool[N, T, 1].

    Returns:
        TensorDict [N * T] with image, state, instruction_id, chunk f32[N * T, chunk_length, A] in physical units and
        the pad mask bool[N * T, chunk_length].
    """
    if demonstrations.batch_dims != 2:
        raise ValueError(f"demonstrations have batch shape {tuple(demonstrations.batch_size)}, expected [N, T]")
    chunks = ActionChunkTransform(chunk_length)(demonstrations.select(ACTION, ("next", "done")))
    samples = demonstrations.select(IMAGE, STATE, INSTRUCTION_ID, strict=False)
    # A plain tensordict at ``vla_action``: the policy writes its own container there later.
    samples[CHUNK] = chunks[CHUNK]
    samples[IS_PAD] = chunks[IS_PAD]
    return samples.reshape(-1)


def sample_buffer(
    samples: TensorDict | Rows,
    scaling: Scaling,
    batch_size: int,
    *further: Transform,
    before: Sequence[Transform] = (),
    seed: int | None = None,
    prefetch: bool = False,
) -> TensorDictReplayBuffer:
    """A buffer over ``samples`` that keeps them raw and normalises state and chunk on the sample path.

    The buffer's storage is ``samples`` itself, not a copy. On the sample path too, the transforms of ``before`` are
    applied to the raw samples, ``further`` ones after the normalisation.

    Read it with ``sample()`` or an index tensor: ``buffer[:]`` hands out the storage itself, and the transforms would
    then normalise the stored chunks in place.

    Args:
        seed: None draws samples with replacement from torch's global generator. A number gives every sample once an
            epoch, the last batch of which may be smaller, in an order that depends on nothing else.
        prefetch: a thread makes the next batch, transforms included, while the last one is used. Transforms that draw
            from torch's global generator then take turns with the caller by chance.
    """
    return TensorDictReplayBuffer(
        storage=RowStorage(samples),
        sampler=None if seed is None else SamplerWithoutReplacement(),
        batch_size=batch_size,
        transform=Compose(*before, scaling.observation_norm(), scaling.data_chunk(), *further),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
        # One thread: two would race for the sampler, and batches would change places.
        prefetch=1 if prefetch else None,
    )
