"""Whole chunks as the steps of an env, so that a chunk's tokens stay with what it did."""

from __future__ import annotations

from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.transforms import Compose, InitTracker, MultiAction, Transform

from vla_runtime.learn.keys import ACTION, CHUNK

__all__ = ["chunk_env"]


def chunk_env(env: EnvBase, *transforms: Transform) -> TransformedEnv:
    """``env`` with a step that executes all rows of ``("vla_action", "chunk")`` f32[B, H, A] [B is the env's batch].

    Each transition of a rollout then holds one query of the policy: its observation, tokens and log-probabilities, and
    what came of the chunk. An episode that ends inside a chunk stays where it ended. The reward is that of the last
    row executed: use a sparse one. torchrl's ``MultiStepActorWrapper`` instead refreshes the chunk alone after the
    first query, and leaves the first query's tokens beside it.

    ``transforms`` see every row: a ``StateNorm``, an ``ActionNorm``.

    Raises:
        ValueError: an env without batch dimension, whose policy would see a batch that is not there.
    """
    if not env.batch_size:
        raise ValueError("an env without batch dimension given, expected one of batch size [1] or more")
    whole_chunks = MultiAction(action_key=ACTION, chunk_key=CHUNK, stack_rewards=False)
    return TransformedEnv(env, Compose(InitTracker(), *transforms, whole_chunks))
