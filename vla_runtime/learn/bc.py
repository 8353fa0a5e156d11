"""Behaviour cloning, step by step: chunks regressed (torchrl's BCLoss), sampled (flow matching) or told in tokens."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torchrl.data import TensorDictReplayBuffer
from torchrl.objectives import BCLoss

from vla_runtime.learn.flow import FlowPolicy
from vla_runtime.learn.flow_loss import FlowLoss, Prefixes
from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.keys import CHUNK, IS_PAD
from vla_runtime.learn.runs.training import Diverged
from vla_runtime.learn.token_loss import TokenLoss

__all__ = ["Diverged", "Fit", "make_loss", "train"]

_RECENT = 20


def make_loss(policy: FusedPolicy, prefixes: Prefixes | None = None) -> nn.Module:
    """Of normalised chunks, rows marked in ``action_is_pad`` excluded: flow matching for a flow policy, with the rows
    that ``prefixes`` gives it clean; cross entropy for a token head; else the L1 distance of predicted and
    demonstrated chunks.
    """
    if isinstance(policy, FlowPolicy):
        return FlowLoss(policy, prefixes)
    if policy.action_head == "tokens":
        return TokenLoss(policy)
    with warnings.catch_warnings():
        # torchrl 0.14 warns that BCLoss does not annotate the target network that it does not have.
        warnings.filterwarnings("ignore", message="The name target_actor_network_params", category=UserWarning)
        loss = BCLoss(policy, loss_function="l1")
    loss.set_keys(action=CHUNK, pad_mask=IS_PAD)
    return loss


class Fit:
    """Gradient steps that train ``policy`` in place on samples of ``buffer``, with AdamW.

    The rate rises to ``lr`` in ``warm_up`` steps and falls to 0 along a cosine until ``steps``. Gradients longer than
    ``clip`` are shortened to it. ``prefixes`` are for a flow policy. What is random in a step, the choice of samples
    included, depends on ``seed`` and the step's number alone; the caller's generator is not touched.
    """

    def __init__(
        self,
        policy: FusedPolicy,
        buffer: TensorDictReplayBuffer,
        *,
        steps: int,
        lr: float = 2e-3,
        warm_up: int = 0,
        weight_decay: float = 0.0,
        clip: float = math.inf,
        prefixes: Prefixes | None = None,
        seed: int = 0,
    ) -> None:
        self.policy, self.steps, self.step_number = policy, steps, 0
        self.recent: deque[float] = deque(maxlen=_RECENT)
        self._buffer, self._lr, self._warm_up, self._clip, self._seed = buffer, lr, warm_up, clip, seed
        self._loss = make_loss(policy, prefixes)
        self._parameters = list(policy.parameters())
        self._optimiser = torch.optim.AdamW(self._parameters, lr=lr, weight_decay=weight_decay)

    def step(self) -> dict[str, float]:
        """One more; its loss, learning rate and the length of its gradient.

        Raises:
            Diverged: one of them is not finite; the weights are still those of the step before.
        """
        number = self.step_number
        rate = self._lr * _rate(number, self.steps, self._warm_up)
        self.policy.train()
        with _seeded(self._seed, number):
            losses = self._loss(self._buffer.sample())
        loss = sum(value for name, value in losses.items() if name.startswith("loss_"))
        value = self._finite("the loss", float(loss.detach()))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        length = self._finite("the gradient", float(nn.utils.clip_grad_norm_(self._parameters, self._clip)))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self.policy.eval()
        self.step_number += 1
        self.recent.append(value)
        return {"loss": value, "lr": rate, "gradient": length}

    def state_dict(self) -> dict[str, Any]:
        """Weights, the optimiser's state and the number of steps: all that the next steps depend on."""
        return {
            "step": self.step_number,
            "policy": self.policy.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "recent": list(self.recent),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.policy.load_state_dict(state["policy"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step_number = int(state["step"])
        self.recent = deque(state["recent"], maxlen=_RECENT)

    def _finite(self, what: str, value: float) -> float:
        if not math.isfinite(value):
            raise Diverged(
                f"{what} became {value} at step {self.step_number}: check the demonstrations and the rate {self._lr:g}"
            )
        return value


def train(
    policy: FusedPolicy,
    buffer: TensorDictReplayBuffer,
    *,
    steps: int,
    on_step: Callable[[Mapping[str, float]], None] = lambda figures: None,
    **options: Any,
) -> list[float]:
    """Train ``policy`` in place; returns the loss of every step. ``options`` are those of ``Fit``.

    ``on_step`` is told each step's figures.

    Raises:
        Diverged: a loss is not finite.
    """
    fit = Fit(policy, buffer, steps=steps, **options)
    losses = []
    for _ in range(steps):
        figures = fit.step()
        losses.append(figures["loss"])
        on_step(figures)
    return losses


@contextmanager
def _seeded(seed: int, step: int) -> Iterator[None]:
    """torch's generator inside the block is that of ``step``; outside it is as it was."""
    digest = hashlib.sha256(f"{seed}/{step}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        yield


def _rate(step: int, steps: int, warm_up: int) -> float:
    """The learning rate of ``step``, from 0, as a fraction of the highest."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))
