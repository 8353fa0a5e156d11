"""Tokens to normalised actions, by the policy's own tokenizer: the one way, in torch and in an exported graph."""

from __future__ import annotations

from torch import Tensor
from torchrl.data.vla import VocabTailActionTokenizer
from torchrl.modules.vla import VLAWrapperBase

__all__ = ["decode_tokens"]


def decode_tokens(policy: VLAWrapperBase, tokens: Tensor) -> Tensor:
    """i64[..., A] to f32[..., A], as ``policy.action_tokenizer`` decodes.

    Raises:
        ValueError: there is no tokenizer, or it decodes outside of torch, which a trace would bake in as a constant.
    """
    tokenizer = policy.action_tokenizer
    if tokenizer is None:
        raise ValueError("the policy has a token head, but no action_tokenizer to decode its tokens with")
    numpy_too = isinstance(tokenizer, VocabTailActionTokenizer) and tokenizer.norm_low is not None
    if numpy_too and type(tokenizer).decode is VocabTailActionTokenizer.decode:
        raise ValueError(
            "torchrl's VocabTailActionTokenizer with statistics decodes in NumPy, so it has no graph; expected "
            "a tokenizer whose decode is torch alone"
        )
    return tokenizer.decode(tokens)
