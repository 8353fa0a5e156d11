"""Demonstrations to training samples: chunks that never leave their episode, ids instead of text."""

from __future__ import annotations

from collections.abc import Sequence

from tensordict import TensorDict
from torchrl.data import TensorDictReplayBuffer, TensorStorage
from torchrl.envs.transforms import ActionChunkTransform, Compose, Transform

from vla_runtime.learn.keys import ACTION, CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.scaling import Scaling

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
    samples: TensorDict, scaling: Scaling, batch_size: int, *further: Transform, before: Sequence[Transform] = ()
) -> TensorDictReplayBuffer:
    """A buffer over ``samples`` that keeps them raw and normalises state and chunk on the sample path.

    The buffer's storage is ``samples`` itself, not a copy. On the sample path too, the transforms of ``before`` are
    applied to the raw samples, ``further`` ones after the normalisation.

    Read it with ``sample()`` or an index tensor: ``buffer[:]`` hands out the storage itself, and the transforms would
    then normalise the stored chunks in place.
    """
    return TensorDictReplayBuffer(
        storage=TensorStorage(samples),
        batch_size=batch_size,
        transform=Compose(*before, scaling.observation_norm(), scaling.data_chunk(), *further),
    )
