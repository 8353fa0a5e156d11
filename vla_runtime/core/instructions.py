"""Instructions as integers: the one place where text becomes what a policy graph reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from vla_runtime.core.errors import ContractMismatch, choices
from vla_runtime.core.types import I64

__all__ = ["INSTRUCTION_INPUTS", "InstructionEncoding", "InstructionKind"]

InstructionKind = Literal["sha1_mod", "table", "fixed", "tokens"]

INSTRUCTION_INPUTS = ("instruction_id", "instruction_tokens")
"""The inputs of a graph that say what to do: it has one of them, or none."""


class InstructionEncoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a policy reads an instruction. Every one has an integer, its id.

    ``sha1_mod``: id = int(sha1(text)) mod ``vocab``, the rule of torchrl's TinyVLA. ``table``: id = position in
    ``texts``. The graph is given the id under ``instruction_id``. ``fixed``: there is one text, of id 0, and the graph
    is given nothing. ``tokens``: id = position in ``texts``, and the graph is given, under ``instruction_tokens``, that
    position's row of ``tokens``, filled up with ``pad`` to ``length``: what the text encoder reads.

    In all of them ``texts`` are the instructions the policy was trained on and the only ones accepted: an untrained id
    addresses a random embedding, and nothing on the robot could tell. ``vocab`` is the number of ids, or of tokens.
    """

    kind: InstructionKind
    vocab: int
    texts: tuple[str, ...]
    length: int = 0
    pad: int = 0
    tokens: tuple[tuple[int, ...], ...] = ()

    def encode(self, text: str) -> int:
        """The id of ``text``.

        Raises:
            ContractMismatch: the policy was not trained on it; the message lists those it was.
        """
        if text not in self.texts:
            known = ", ".join(repr(known) for known in self.texts)
            hint = choices(text, self.texts).partition("; ")[2]
            raise ContractMismatch(
                [f"instruction {text!r} is not one the policy was trained on: {known}" + (f"; {hint}" if hint else "")]
            )
        if self.kind == "sha1_mod":
            return sha1_mod(text, self.vocab)
        return self.texts.index(text)

    def inputs(self, ids: Sequence[int] | I64) -> dict[str, I64]:
        """What the graph is given for B ``ids``, by the input's name: i64[B], i64[B, length], or nothing.

        Raises:
            ContractMismatch: an id of ``tokens`` that is no position in ``texts``.
        """
        if self.kind == "fixed":
            return {}
        found = np.asarray(ids, dtype=np.int64)
        if self.kind != "tokens":
            return {"instruction_id": found}
        if not ((found >= 0) & (found < len(self.texts))).all():
            raise ContractMismatch([f"instruction ids {found.tolist()} given, expected 0 to {len(self.texts) - 1}"])
        rows: I64 = np.full((len(self.texts), self.length), self.pad, dtype=np.int64)
        for row, tokens in zip(rows, self.tokens, strict=True):
            row[: len(tokens)] = tokens
        return {"instruction_tokens": rows[found]}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of what ``inputs`` gives, without the batch."""
        return {name: value.shape[1:] for name, value in self.inputs([0]).items()}

    def problems(self) -> list[str]:
        """Where it contradicts itself, in words."""
        problems = []
        if not self.texts:
            problems.append("there is no instruction")
        repeated = sorted({text for text in self.texts if self.texts.count(text) > 1})
        if repeated:
            problems.append(f"instruction.texts names {', '.join(map(repr, repeated))} twice")
        if self.vocab < 1:
            problems.append(f"instruction.vocab is {self.vocab}, expected at least 1")
        if self.kind == "table" and self.vocab < len(self.texts):
            problems.append(f"instruction.vocab is {self.vocab}, expected at least the {len(self.texts)} texts")
        if self.kind == "fixed" and len(self.texts) != 1:
            problems.append(f"a fixed instruction has one text, {len(self.texts)} given")
        if self.kind == "tokens":
            return [*problems, *self._token_problems()]
        if self.tokens or self.length or self.pad:
            problems.append(f"instruction.tokens, length and pad belong to kind 'tokens', not {self.kind!r}")
        return problems

    def _token_problems(self) -> list[str]:
        problems = []
        if len(self.tokens) != len(self.texts):
            problems.append(f"instruction.tokens has {len(self.tokens)} rows, expected one for each text")
        for text, row in zip(self.texts, self.tokens, strict=False):
            if not 1 <= len(row) <= self.length:
                problems.append(f"instruction {text!r} has {len(row)} tokens, expected 1 to {self.length}")
            wrong = [token for token in row if not 0 <= token < self.vocab or token == self.pad]
            if wrong:
                problems.append(
                    f"instruction {text!r} has the token {wrong[0]}, expected 0 to {self.vocab - 1} but not the pad "
                    f"{self.pad}"
                )
        if len(set(self.tokens)) != len(self.tokens):
            problems.append("two instructions have the same tokens: the policy cannot tell them apart")
        return problems


def sha1_mod(text: str, vocab: int) -> int:
    """``int(sha1(utf8(text))) mod vocab``, as TinyVLA hashes its instruction.

    >>> sha1_mod("push the T-shaped block onto the target", 256)
    13
    """
    return int(hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % vocab
