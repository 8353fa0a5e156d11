"""Behaviour cloning as a training that can be run, interrupted and resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torchrl.data import TensorDictReplayBuffer

from vla_runtime.core.errors import ConfigError
from vla_runtime.learn.bc import Fit
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["BehaviourCloning"]


class BehaviourCloning(Fit):
    """A ``runs.training.Training`` that trains the policy of ``untrained`` in place.

    Args:
        untrained: the policy with its contract, and what is known of the training before it begins.
        buffer: as ``data.sample_buffer`` makes it.
        evaluation: figures of the checkpoint as it is, ``score`` among them.
        fit: options of ``Fit``; ``steps`` is needed.
    """

    def __init__(
        self,
        untrained: Checkpoint,
        buffer: TensorDictReplayBuffer,
        evaluation: Callable[[Checkpoint], Mapping[str, float]],
        **fit: Any,
    ) -> None:
        super().__init__(untrained.policy, buffer, **fit)
        self.untrained, self._evaluation = untrained, evaluation

    def evaluate(self) -> Mapping[str, float]:
        """The evaluation's figures; it draws from a generator of its own."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self._evaluation(self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """The policy being trained, with ``steps`` done and ``loss``, the mean of the last 20 steps."""
        loss = sum(self.recent) / len(self.recent) if self.recent else None
        return replace(self.untrained, training={**self.untrained.training, "steps": self.step_number, "loss": loss})

    def state_dict(self) -> dict[str, Any]:
        """That of ``Fit``, with the contract: its statistics tell the data apart."""
        return {**super().state_dict(), "spec": self.untrained.spec.to_json().decode()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            ConfigError: the contract is another one, so the demonstrations have changed.
        """
        if state["spec"] != self.untrained.spec.to_json().decode():
            raise ConfigError("the demonstrations are not those that the run was begun with: their contract differs")
        super().load_state_dict(state)
