"""Ties of a token head: where two tokens are equally likely, float noise decides, and neither answer is wrong.

An argmax turns a difference of 1e-7 between two logits into one of a whole bin between two actions. So where an answer
differs from the eager one, the eager policy's own logits are asked. It counts as a tie only if the answer is, within
the tolerance, the action of a token whose logit is within the tolerance of the highest one, relative to the largest
logit. An offset, another input or a baked constant gives an action between the bins, or a token that loses clearly.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vla_runtime.core.types import F32
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.decoding import decode_tokens
from vla_runtime.learn.scaling import Scaling

__all__ = ["without_ties"]


def without_ties(checkpoint: Checkpoint, logits: Tensor, given: F32, expected: F32, tolerance: float) -> F32:
    """The errors f32[B, H, A] of ``given``, physical units; of a tie that to the action of its own token.

    Args:
        logits: of the eager policy, f32[B, H, A, V].
        given, expected: chunks f32[B, H, A].
        tolerance: of an action, relative to its range where that is above 1, and of a logit, relative to the largest.
    """
    error = np.abs(given - expected)
    actions = _actions(checkpoint, logits.shape[-1])
    allowed = tolerance * np.maximum(1.0, np.abs(actions).max(-1))
    gaps = (logits.amax(-1, keepdim=True) - logits).numpy()
    close = gaps <= tolerance * max(1.0, float(logits.abs().max()))
    for at in zip(*np.nonzero(error > allowed), strict=True):
        row = np.abs(actions[at[-1]] - given[at])
        tied = row[close[at]].min()  # the highest logit itself is always close
        if tied <= allowed[at[-1]]:
            error[at] = tied
    return error


def _actions(checkpoint: Checkpoint, vocab: int) -> F32:
    """The action of every token in physical units, f32[A, V]."""
    tokens = torch.arange(vocab)[:, None].expand(vocab, len(checkpoint.spec.actions))
    with torch.no_grad():
        normalised = decode_tokens(checkpoint.policy, tokens)
    return Scaling.from_spec(checkpoint.spec).denormalise_action(normalised).T.numpy()
