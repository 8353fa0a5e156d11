"""What every training has in common, whatever it optimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vla_runtime.core.errors import Fault
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["Diverged", "Training"]


class Diverged(Fault):
    """A figure of the training is no longer a finite number."""


class Training(Protocol):
    """A training that goes on step by step. All that it needs to go on is in its state."""

    step_number: int
    """Steps done."""
    steps: int
    """Steps wanted."""

    def step(self) -> Mapping[str, float]:
        """Do one more; returns its figures by name: ``loss``, ``success`` and so on.

        Raises:
            Diverged: the loss is not finite. Weights are then still those of the step before.
        """
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Figures of the policy as it is now, acting greedily. The best checkpoint has the highest ``score``.

        It changes nothing that a later step depends on.
        """
        ...

    def checkpoint(self) -> Checkpoint:
        """The policy as it is now; the weights may be the ones being trained, so write it before the next step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dicts only, random states included: loadable with ``weights_only``."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of a training with the same recipe: what follows is the same to the last bit."""
        ...
