"""Instructions as integers: the one place where text becomes the id that a policy graph reads."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from vla_runtime.core.errors import ContractMismatch, choices

__all__ = ["InstructionEncoding"]


class InstructionEncoding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a policy reads an instruction.

    ``sha1_mod``: id = int(sha1(text)) mod ``vocab``, the rule of torchrl's TinyVLA. ``table``: id = position in
    ``texts``. In both, ``texts`` are the instructions the policy was trained on and the only ones accepted: an
    untrained id addresses a random embedding, and nothing on the robot could tell.
    """

    kind: Literal["sha1_mod", "table"]
    vocab: int
    texts: tuple[str, ...]

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
        if self.kind == "table":
            return self.texts.index(text)
        return sha1_mod(text, self.vocab)


def sha1_mod(text: str, vocab: int) -> int:
    """``int(sha1(utf8(text))) mod vocab``, as TinyVLA hashes its instruction.

    >>> sha1_mod("push the T-shaped block onto the target", 256)
    13
    """
    return int(hashlib.sha1(text.encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % vocab
