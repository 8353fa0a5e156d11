"""Text as its UTF-8 bytes: a tokenizer that needs no vocabulary file (Xue et al. 2022, ByT5)."""

from __future__ import annotations

__all__ = ["PAD", "VOCAB", "byte_tokens"]

PAD = 0
VOCAB = 257
"""Byte b is token b + 1, so that 0 is free to fill up with."""


def byte_tokens(text: str) -> tuple[int, ...]:
    """The tokens of ``text``; of the empty text one space's.

    >>> byte_tokens("go")
    (104, 112)
    """
    return tuple(byte + 1 for byte in (text or " ").encode("utf-8"))
