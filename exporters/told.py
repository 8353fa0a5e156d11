"""How the robot tells a policy file what to do: an id, the tokens of a text, or nothing where there is one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import msgspec
import torch
from torch import Tensor, nn

from vla_runtime.core.errors import PolicyFileError, choices
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.prompts import as_tokens

__all__ = ["PROMPTS", "Prompt", "Told", "told"]

Prompt = Literal["fixed", "table", "tokens"]
PROMPTS: tuple[Prompt, ...] = get_args(Prompt)


class Told(nn.Module):
    """From the graph's instruction input to what ``policy.fuse`` takes, i64[B] or tokens i64[B, L].

    What the policy reads for each text of ``encoding`` is a table in the graph: nothing is hashed or looked up there.
    """

    def __init__(self, policy: FusedPolicy, encoding: InstructionEncoding) -> None:
        super().__init__()
        self.kind = encoding.kind
        self.register_buffer("own", torch.tensor([policy.text_id(text) for text in encoding.texts]), persistent=False)

    def forward(self, given: Mapping[str, Tensor], batch: int) -> Tensor:
        if self.kind == "fixed":
            return self.own.expand(batch)
        if self.kind == "tokens":
            return given["instruction_tokens"]
        ids = given["instruction_id"]
        return self.own[ids] if self.kind == "table" else ids


def told(checkpoint: Checkpoint, prompt: Prompt | None, instruction: str | None = None) -> Checkpoint:
    """``checkpoint`` with the contract that its file is to have.

    ``fixed``: for one text alone, the graph has no input for it; ``table``: the id is the position of the text;
    ``tokens``: for a policy with a text encoder, the robot hands over the text's tokens; None: as it was trained.

    Raises:
        PolicyFileError: ``fixed`` without saying which of several, another text than it was trained on, or ``tokens``
            of a policy without a text encoder.
    """
    encoding = checkpoint.spec.instruction
    if instruction is not None and prompt != "fixed":
        raise PolicyFileError(f"one instruction {instruction!r} is for a fixed prompt, {prompt or 'none'} given")
    if prompt is None or prompt == encoding.kind:
        return checkpoint
    if prompt == "fixed":
        if instruction is None and len(encoding.texts) > 1:
            known = ", ".join(map(repr, encoding.texts))
            raise PolicyFileError(f"a fixed prompt is one instruction, say which: {known}")
        text = encoding.texts[0] if instruction is None else instruction
        if text not in encoding.texts:
            raise PolicyFileError(f"instruction {text!r} was not trained on; {choices(text, encoding.texts)}")
        new = InstructionEncoding("fixed", 1, (text,))
    elif prompt == "table":
        new = InstructionEncoding("table", len(encoding.texts), encoding.texts)
    else:
        if not checkpoint.policy.reads_tokens:
            raise PolicyFileError(
                "prompt 'tokens' needs a policy with a text encoder, this one reads ids; valid: fixed, table"
            )
        new = as_tokens(encoding)
    spec = msgspec.structs.replace(checkpoint.spec, instruction=new)
    spec.check()
    return replace(checkpoint, spec=spec)
