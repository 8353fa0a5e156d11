"""What a rollout must not carry into a loss."""

from __future__ import annotations

from tensordict import TensorDictBase

from vla_runtime.learn.keys import LOGITS, ROOT_KEYS

__all__ = ["drop_stale"]


def drop_stale(tensordict: TensorDictBase) -> TensorDictBase:
    """``tensordict`` without stored logits, in either layout and under ``next`` too; the rest is shared, not copied.

    torchrl's ``get_dist`` and ``log_prob`` take logits that lie in the batch for the policy's present ones: the ratio
    of a PPO loss is then 1 whatever the policy, and no gradient flows. Tokens and log-probabilities stay.
    """
    logits = [LOGITS, ROOT_KEYS[LOGITS]]
    return tensordict.exclude(*logits, *(("next", *(key if isinstance(key, tuple) else (key,))) for key in logits))
