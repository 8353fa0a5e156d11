"""How much better an episode went than the others of its group, which began alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vla_runtime.learn.finite import refuse_not_finite

__all__ = ["GroupAdvantages", "group_advantages"]


@dataclass(frozen=True, eq=False)
class GroupAdvantages:
    """``advantage`` f32[N, 1], as torchrl's PPO losses want it, and ``keep`` bool[N]: what teaches anything."""

    advantage: Tensor
    keep: Tensor

    @property
    def empty(self) -> bool:
        """Whether there is nothing to learn from: a loss over no sample is NaN, so no step may be taken."""
        return not bool(self.keep.any())

    def kept(self) -> Tensor:
        """f32[M, 1], those that are kept, M may be 0."""
        return self.advantage[self.keep]


def group_advantages(returns: Tensor, group_size: int | None = None) -> GroupAdvantages:
    """(R - mean) / std within each group (Shao et al., DeepSeekMath, 2024, eq. of outcome supervision).

    A group in which all returns are equal, all successes or all failures, says nothing: its advantages are 0 and it is
    not kept.

    Args:
        returns: f32[G, K], or f32[G * K] with the K episodes of a group side by side.
        group_size: K; needed for the flat form.

    Returns:
        N = G * K values, in the order of ``returns`` flattened. The std is the population's.

    Raises:
        ValueError: another shape, or groups of fewer than two.
        NotFinite: a return is NaN or infinite.
    """
    shape = tuple(returns.shape)
    size = shape[-1] if group_size is None and len(shape) == 2 else group_size
    if size is None:
        raise ValueError(f"returns of shape {shape} given without group_size, expected [G, K]")
    if size < 2 or not ((len(shape) == 1 and shape[0] % size == 0) or (len(shape) == 2 and shape[1] == size)):
        raise ValueError(f"returns of shape {shape} given, expected [G, {size}] or [G * {size}], 2 or more in a group")
    groups = returns.detach().reshape(-1, size).float()
    refuse_not_finite(groups.reshape(-1, 1), "the returns", ["an episode"])
    std = groups.std(1, correction=0, keepdim=True)
    mixed = (groups.amax(1, keepdim=True) > groups.amin(1, keepdim=True)) & (std > 0)
    advantage = torch.where(mixed, (groups - groups.mean(1, keepdim=True)) / std.where(mixed, 1.0), 0.0)
    return GroupAdvantages(advantage.reshape(-1, 1), mixed.expand_as(groups).reshape(-1).clone())
