"""Known instructions as token rows: what a policy with a text encoder reads for the id of one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.learn.bytes_text import PAD, VOCAB, byte_tokens

__all__ = ["Prompts", "as_tokens"]


def as_tokens(encoding: InstructionEncoding) -> InstructionEncoding:
    """``encoding`` as kind ``tokens``: its own tokens, or the bytes of its texts."""
    if encoding.kind == "tokens":
        return encoding
    rows = tuple(byte_tokens(text) for text in encoding.texts)
    return InstructionEncoding("tokens", VOCAB, encoding.texts, max(map(len, rows)), PAD, rows)


class Prompts(nn.Module):
    """Ids i64[B] of ``encoding`` to tokens i64[B, length], filled up with ``pad``; of an unknown id only that.

    ``told`` is the same texts as kind ``tokens``. The table is made of the contract, so no checkpoint holds it.
    """

    def __init__(self, encoding: InstructionEncoding) -> None:
        super().__init__()
        self.told = as_tokens(encoding)
        self.pad = self.told.pad
        count = len(encoding.texts)
        known = torch.from_numpy(self.told.inputs(range(count))["instruction_tokens"])
        unknown = known.new_full((1, self.told.length), self.pad)
        ids = encoding.vocab if encoding.kind == "sha1_mod" else count
        rows = torch.full((ids,), count)
        for row, text in enumerate(encoding.texts):
            rows[encoding.encode(text)] = row
        self.register_buffer("tokens", torch.cat([known, unknown]), persistent=False)
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.tokens[self.rows[ids]]
