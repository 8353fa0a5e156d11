"""Normalisation of states and actions: y = (x - mean) / std, from the demonstrations' statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tensordict.utils import NestedKey
from torch import Tensor

from vla_runtime.core.spec import Normalisation, PolicySpec
from vla_runtime.learn.keys import ACTION, CHUNK, STATE
from vla_runtime.learn.normalise import ActionNorm, StateNorm, clamped
from vla_runtime.learn.summary import STD_FLOOR, Summary

__all__ = ["STD_FLOOR", "Scaling", "scaling_of", "statistics"]


def statistics(values: Tensor, names: tuple[str, ...], what: str) -> tuple[Tensor, Tensor]:
    """Mean and floored std, f32[D] each, of ``values`` f32[..., D].

    Raises:
        ValueError: as ``Summary.of``.
    """
    return Summary.of(values, names, what).affine()


def scaling_of(state: Summary, action: Summary) -> Scaling:
    """By mean and floored std of data that are summed up already, nothing clamped."""
    return Scaling(*state.affine(), *action.affine())


@dataclass(frozen=True, eq=False)
class Scaling:
    """A contract's normalisation as vectors, f32[S], f32[S], f32[A], f32[A].

    ``state_limit`` f32[S] and ``action_limit`` f32[A] are the largest normalised magnitudes, infinite for dimensions
    that are kept as they are; None where nothing is clamped. ``spec`` gives the names of the dimensions, for errors.
    """

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    state_limit: Tensor | None = None
    action_limit: Tensor | None = None
    spec: PolicySpec | None = None

    @classmethod
    def from_spec(cls, spec: PolicySpec) -> Scaling:
        """The scaling that a contract states."""
        n = spec.normalisation
        vectors = (torch.tensor(v) for v in (n.state_mean, n.state_std, n.action_mean, n.action_std))
        limits = (_limit(n, [entry.name for entry in part]) for part in (spec.state, spec.actions))
        return cls(*vectors, *limits, spec)

    def normalisation(self) -> Normalisation:
        """The same numbers for the contract: f32 written as floats reads back to the same bits."""
        values = (self.state_mean, self.state_std, self.action_mean, self.action_std)
        vectors = tuple(tuple(v.tolist()) for v in values)
        if self.spec is None:
            return Normalisation(*vectors)
        n = self.spec.normalisation
        return Normalisation(*vectors, n.clamp, n.mode, n.keep)

    def observation_norm(self) -> StateNorm:
        """Normalises the state, on an env or on a replay buffer's sample path."""
        names = [entry.name for entry in self.spec.state] if self.spec else []
        return StateNorm(self.state_mean, self.state_std, self.state_limit, names, in_keys=[STATE])

    def env_action(self, key: NestedKey = ACTION) -> ActionNorm:
        """Denormalises the policy's action, or chunk, on its way into an env."""
        return self._action_norm(in_keys=[], in_keys_inv=[key])

    def data_chunk(self, key: NestedKey = CHUNK) -> ActionNorm:
        """Normalises stored chunks on a replay buffer's sample path; ``extend`` keeps them raw."""
        return self._action_norm(in_keys_inv=[], in_keys=[key])

    def normalise_state(self, state: Tensor) -> Tensor:
        """f32[..., S] physical to normalised."""
        return clamped((state - self.state_mean) / self.state_std, self.state_limit)

    def normalise_action(self, action: Tensor) -> Tensor:
        """f32[..., A] physical to normalised.

        Raises:
            NotFinite: a value is NaN or infinite.
        """
        return self.env_action().normalize(action)

    def denormalise_action(self, action: Tensor) -> Tensor:
        """f32[..., A] normalised to physical.

        Raises:
            NotFinite: a value is NaN or infinite.
        """
        return self.env_action().denormalize(action)

    def _action_norm(self, **keys: Sequence[NestedKey]) -> ActionNorm:
        names = [action.name for action in self.spec.actions] if self.spec else []
        return ActionNorm(self.action_mean, self.action_std, self.action_limit, names, **keys)


def _limit(normalisation: Normalisation, names: Sequence[str]) -> Tensor | None:
    clamp = normalisation.clamp
    if clamp is None:
        return None
    return torch.tensor([math.inf if name in normalisation.keep else clamp for name in names])
