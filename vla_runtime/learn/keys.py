"""The tensordict keys of the learning half, named once.

torchrl 0.14's layout puts what a policy writes under ``vla_action``; data written for older releases has the same
leaves at the root. ``use_root_keys`` makes a policy speak the older spelling.
"""

from __future__ import annotations

from tensordict.utils import NestedKey
from torchrl.data.vla import (
    ACTION_CHUNK_KEY,
    ACTION_IS_PAD_KEY,
    ACTION_KEY,
    ACTION_TOKENS_KEY,
    IMAGE_KEY,
    INSTRUCTION_KEY,
    STATE_KEY,
    VLA_ACTION_KEY,
)
from torchrl.modules.vla import VLAWrapperBase

__all__ = [
    "ACTION",
    "CHUNK",
    "DELAY",
    "EXECUTED",
    "IMAGE",
    "INSTRUCTION",
    "INSTRUCTION_ID",
    "IS_PAD",
    "LOGITS",
    "LOG_PROBS",
    "NOISE",
    "PREV_CHUNK",
    "STATE",
    "TOKENS",
    "WEIGHTS",
    "use_root_keys",
]

IMAGE: NestedKey = IMAGE_KEY
"""u8[B, 3, H, W], or a tensordict of such by camera name."""
STATE: NestedKey = STATE_KEY
"""f32[B, S]."""
INSTRUCTION: NestedKey = INSTRUCTION_KEY
"""Text, one per batch entry: slow to index, so never part of stored data."""
INSTRUCTION_ID = "instruction_id"
"""i64[B], the integer form of the instruction; a policy prefers it to the text."""
ACTION: NestedKey = ACTION_KEY
"""f32[..., A], what the expert would do in this state: the label."""
EXECUTED = "executed_action"
"""f32[..., A], what was done instead while demonstrations were collected."""
CHUNK: NestedKey = ACTION_CHUNK_KEY
"""f32[..., H, A]."""
IS_PAD: NestedKey = ACTION_IS_PAD_KEY
"""bool[..., H]; True marks rows past the end of the episode, which must not be trained on."""
TOKENS: NestedKey = ACTION_TOKENS_KEY
"""i64[..., H, A], the bins of a token policy's chunk."""
LOG_PROBS: NestedKey = (VLA_ACTION_KEY, "log_probs")
"""f32[..., H, A] or, summed over a chunk, f32[...]: of the tokens, when they were drawn."""
LOGITS: NestedKey = (VLA_ACTION_KEY, "logits")
"""f32[..., H, A, V]. Never stored with a rollout: torchrl would take them for the policy's present ones."""
NOISE = "noise"
"""f32[..., H, A], standard normal: what a sampling policy makes a chunk of."""
PREV_CHUNK = "prev_chunk"
"""f32[..., H, A], normalised: what is committed for the time of each row."""
DELAY = "delay"
"""i64[...]: the first rows of ``prev_chunk`` that the new chunk must have."""
WEIGHTS = "prefix_weights"
"""f32[..., H], 0 to 1: how much each row is pulled towards ``prev_chunk``."""


def use_root_keys(policy: VLAWrapperBase) -> VLAWrapperBase:
    """Make ``policy`` write ``action_chunk``, ``action_tokens`` and ``log_probs`` at the root of the tensordict."""
    return policy.set_keys(action_chunk="action_chunk", action_tokens="action_tokens", log_probs="log_probs")
