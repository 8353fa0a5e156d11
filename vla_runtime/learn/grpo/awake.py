"""Asks a policy only where an answer is waited for: an episode that is over needs none."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from vla_runtime.learn.fused import FusedPolicy

__all__ = ["AWAKE", "Awake"]

AWAKE = "awake"
"""bool[..., 1]: whether an episode is under way."""


class Awake(TensorDictModuleBase):
    """``policy`` for the entries that are awake; what it writes is 0 for the others. Without ``awake`` all are."""

    def __init__(self, policy: FusedPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.in_keys, self.out_keys = policy.in_keys, policy.out_keys

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        awake = tensordict.get(AWAKE, None)
        if awake is None or awake.all():
            return self.policy(tensordict)
        flat = tensordict.reshape(-1)
        rows = awake.reshape(-1).nonzero().squeeze(-1)
        # Of nobody, one is asked all the same: it says what shapes to write.
        asked = rows if len(rows) else torch.zeros(1, dtype=torch.long)
        answers = self.policy(flat[asked])
        for key in self.out_keys:
            answer = answers.get(key)
            whole = answer.new_zeros(len(flat), *answer.shape[1:])
            whole[rows] = answer[: len(rows)]
            tensordict.set(key, whole.reshape(*tensordict.batch_size, *answer.shape[1:]))
        return tensordict
