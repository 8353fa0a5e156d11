"""Normalisation of states and actions: y = (x - mean) / std, from the demonstrations' statistics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.transforms import ActionScaling, ObservationNorm

from vla_runtime.core.spec import Normalisation, PolicySpec
from vla_runtime.learn.keys import ACTION, CHUNK, STATE

__all__ = ["STD_FLOOR", "Scaling", "statistics"]

STD_FLOOR = 1e-2
"""Smallest std, both absolute and as a fraction of the range: a nearly constant dimension must not be blown up."""


def statistics(values: Tensor, names: tuple[str, ...], what: str) -> tuple[Tensor, Tensor]:
    """Mean and floored std, f32[D] each, of ``values`` f32[..., D].

    Raises:
        ValueError: ``values`` is empty, has another number of dimensions than ``names``, or is not finite; torchrl's
            transforms would pass NaN on.
    """
    rows = values.reshape(-1, values.shape[-1]).double()
    if rows.shape[-1] != len(names):
        raise ValueError(f"{what} has {rows.shape[-1]} dimensions, expected {len(names)}: {', '.join(names)}")
    if not len(rows):
        raise ValueError(f"{what} has no rows, expected at least one")
    finite = rows.isfinite().all(0)
    if not finite.all():
        bad = ", ".join(name for name, ok in zip(names, finite.tolist(), strict=True) if not ok)
        raise ValueError(f"{what} holds NaN or infinite values in {bad}, expected finite ones only")
    spread = rows.amax(0) - rows.amin(0)
    floor = (STD_FLOOR * spread).clamp_min(STD_FLOOR)
    return rows.mean(0).float(), rows.std(0, correction=0).maximum(floor).float()


@dataclass(frozen=True)
class Scaling:
    """The four vectors of a policy's normalisation, f32[S], f32[S], f32[A], f32[A]."""

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    @classmethod
    def from_spec(cls, spec: PolicySpec) -> Scaling:
        """The scaling that a contract states."""
        n = spec.normalisation
        return cls(*(torch.tensor(v) for v in (n.state_mean, n.state_std, n.action_mean, n.action_std)))

    def normalisation(self) -> Normalisation:
        """The same numbers for the contract: f32 written as floats reads back to the same bits."""
        values = (self.state_mean, self.state_std, self.action_mean, self.action_std)
        return Normalisation(*(tuple(v.tolist()) for v in values))

    def observation_norm(self) -> ObservationNorm:
        """Normalises the state, on an env or on a replay buffer's sample path."""
        return ObservationNorm(loc=self.state_mean, scale=self.state_std, in_keys=[STATE], standard_normal=True)

    def env_action(self) -> ActionScaling:
        """Denormalises the policy's action on its way into an env."""
        return ActionScaling.from_stats(mean=self.action_mean, std=self.action_std, in_keys_inv=[ACTION])

    def data_chunk(self, key: NestedKey = CHUNK) -> ActionScaling:
        """Normalises stored chunks on a replay buffer's sample path; ``extend`` keeps them raw."""
        return ActionScaling.from_stats(mean=self.action_mean, std=self.action_std, in_keys_inv=[], in_keys=[key])

    def normalise_state(self, state: Tensor) -> Tensor:
        """f32[..., S] physical to normalised."""
        return (state - self.state_mean) / self.state_std

    def denormalise_action(self, action: Tensor) -> Tensor:
        """f32[..., A] normalised to physical."""
        return self.env_action().denormalize(action)
