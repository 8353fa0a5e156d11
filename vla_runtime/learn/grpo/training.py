"""GRPO: a token policy learns from groups of episodes that began alike, some of which succeeded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchrl.objectives import ClipPPOLoss

from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.grpo.exam import Exam
from vla_runtime.learn.grpo.rates import parameter_groups, set_rate
from vla_runtime.learn.grpo.rollouts import Rollouts, acting, iteration_seed
from vla_runtime.learn.grpo.samples import ADVANTAGE, Episodes, samples_of
from vla_runtime.learn.keys import LOG_PROBS, TOKENS
from vla_runtime.learn.runs.training import Diverged

__all__ = ["Grpo", "Settings"]


@dataclass(frozen=True)
class Settings:
    """Of the optimisation.

    ``iterations`` of ``rounds`` rounds each, in groups of ``group_size``; each chunk is learnt from ``epochs`` times in
    batches of ``batch_size``. The ratio of probabilities is cut at 1 - ``clip_low`` and 1 + ``clip_high`` (Yu et al.
    2025, DAPO: a higher upper bound keeps exploration alive). A module of the policy learns at ``lr`` times its entry
    in ``lr_scales``, or 1. What is evaluated, and kept, is a running mean of the weights, of which each iteration keeps
    the share ``averaging`` (Polyak and Juditsky 1992): much of what one iteration teaches is noise.
    """

    iterations: int
    group_size: int
    rounds: int = 1
    epochs: int = 2
    batch_size: int = 256
    lr: float = 3e-4
    lr_scales: Mapping[str, float] = field(default_factory=dict)
    averaging: float = 0.0
    clip_low: float = 0.2
    clip_high: float = 0.28
    temperature: float = 1.0
    gradient_clip: float = 1.0


class Grpo:
    """A ``Training``: each step is an iteration of rollouts and updates, without a critic.

    Group-relative advantages (Shao et al. 2024, "DeepSeekMath") under torchrl's ClipPPOLoss on the log-probability of
    every token. Groups in which all or none succeeded are left out; an iteration without any other changes nothing.
    What is random in an iteration depends on ``seed`` and its number alone.

    Args:
        made: the checkpoint that it begins with; its policy is trained in place.
        open_rollouts: where the episodes of ``made.policy`` come from, opened when they are first needed, from the
            given round on.
        exam: how well it does, acting greedily.
        varied: bool[A], the action dimensions that the episodes differ in, which alone are learnt from; None for all.

    Raises:
        ValueError: the policy has no token head.
        ConfigError: it has no such part as ``lr_scales`` names.
    """

    def __init__(
        self,
        made: Checkpoint,
        open_rollouts: Callable[[int], Rollouts],
        exam: Exam,
        settings: Settings,
        *,
        varied: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        if made.policy.action_head != "tokens":
            raise ValueError(f"GRPO trains a 'tokens' head, given {made.policy.action_head!r}")
        self.step_number, self.steps = 0, settings.iterations
        self._made, self._open, self._exam = made, open_rollouts, exam
        self._rollouts: Rollouts | None = None
        self._settings, self._varied, self._seed = settings, varied, seed
        self._parameters = list(made.policy.parameters())
        self._optimiser = torch.optim.Adam(parameter_groups(made.policy, settings.lr_scales), lr=settings.lr)
        self._average = AveragedModel(made.policy, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging))
        self._average.update_parameters(made.policy)
        # Stored logits would be taken for the policy's present ones, and the loss had no gradient: acting() keeps none.
        self._loss = ClipPPOLoss(
            acting(made.policy, settings.temperature),
            critic_network=None,
            entropy_bonus=False,
            clip_epsilon=(settings.clip_low, settings.clip_high),
        )
        self._loss.set_keys(action=TOKENS, sample_log_prob=LOG_PROBS, advantage=ADVANTAGE)

    def step(self) -> Mapping[str, float]:
        """One iteration: ``success`` of the episodes, ``mixed`` the share of them that was learnt from, ``chunks``
        executed, seconds of both halves, and the last loss and share of clipped ratios.

        Raises:
            Diverged: the loss is not finite.
        """
        seed = iteration_seed(self._seed, self.step_number)
        begun = time.perf_counter()
        episodes = self._collect(seed)
        between = time.perf_counter()
        learnt = self._learn(episodes.samples, seed)
        self._average.update_parameters(self._made.policy)
        self.step_number += 1
        return {
            "success": episodes.success,
            "mixed": episodes.mixed,
            "chunks": float(episodes.chunks),
            "rollout_s": between - begun,
            "update_s": time.perf_counter() - between,
            **learnt,
        }

    def evaluate(self) -> Mapping[str, float]:
        """``success`` of the averaged policy, acting greedily; it is the ``score`` too."""
        averaged = self.checkpoint()
        averaged.policy.eval()
        success = self._exam.success(averaged)
        return {"score": success, "success": success}

    def checkpoint(self) -> Checkpoint:
        """The averaged policy as it is now."""
        self._made.training |= {"iterations": self.step_number}
        return replace(self._made, policy=self._average.module)

    def state_dict(self) -> dict[str, Any]:
        """Weights, their mean, the optimiser and the number of iterations."""
        return {
            "step_number": self.step_number,
            "policy": self._made.policy.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.close()
        self._made.policy.load_state_dict(state["policy"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step_number = state["step_number"]

    def close(self) -> None:
        """End the workers of both."""
        self._exam.close()
        if self._rollouts is not None:
            self._rollouts.close()
            self._rollouts = None

    def _collect(self, seed: int) -> Episodes:
        self._made.policy.eval()
        if self._rollouts is None:
            self._rollouts = self._open(self.step_number * self._settings.rounds)
        batches = [self._rollouts.collect(iteration_seed(seed, number)) for number in range(self._settings.rounds)]
        return samples_of(torch.cat(batches), self._settings.group_size, self._varied)

    def _learn(self, samples: TensorDict, seed: int) -> dict[str, float]:
        settings, figures = self._settings, {"loss": 0.0, "clipped": 0.0, "kl": 0.0}
        order = torch.Generator().manual_seed(seed)
        set_rate(self._optimiser.param_groups, settings.lr * (1.0 - self.step_number / self.steps))
        for _ in range(settings.epochs if len(samples) else 0):
            for rows in torch.randperm(len(samples), generator=order).split(settings.batch_size):
                losses = self._loss(samples[rows])
                loss = losses["loss_objective"]
                if not math.isfinite(float(loss.detach())):
                    raise Diverged(f"the loss became {float(loss.detach())} in iteration {self.step_number}")
                self._optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self._parameters, settings.gradient_clip)
                self._optimiser.step()
                figures = {
                    "loss": float(loss.detach()),
                    "clipped": float(losses["clip_fraction"].detach()),
                    "kl": float(losses["kl_approx"].detach()),
                }
        return figures
