"""The tensordict keys of the learning half, named once.

torchrl 0.14's layout puts what a policy writes under ``vla_action``; data written for older releases has the same
leaves at the root. ``use_root_keys`` makes a policy speak the older spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
    "MASK",
    "NOISE",
    "PREV_CHUNK",
    "REWARD",
    "ROOT_KEYS",
    "STATE",
    "SUCCESS",
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
MASK: NestedKey = (VLA_ACTION_KEY, "mask")
"""bool[..., H, A, V], the tokens that may be drawn."""
ROOT_KEYS: Mapping[NestedKey, str] = MappingProxyType(
    {
        CHUNK: "action_chunk",
        TOKENS: "action_tokens",
        LOG_PROBS: "log_probs",
        LOGITS: "action_logits",
        MASK: "action_mask",
    }
)
"""What a policy writes, by its key, to the key at the root of the tensordict that older data has it under."""
SUCCESS = "success"
"""bool[..., 1], whether the task is done."""
REWARD = "reward"
"""f32[..., 1]."""
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
    names = {"action_chunk": CHUNK, "action_tokens": TOKENS, "log_probs": LOG_PROBS}
    return policy.set_keys(**{name: ROOT_KEYS[key] for name, key in names.items()})
