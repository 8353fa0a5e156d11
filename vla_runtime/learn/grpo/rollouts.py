"""Whole episodes from torchrl's collectors: in this process, in worker processes or on Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.collectors import Collector
from torchrl.envs import EnvBase, ParallelEnv
from torchrl.envs.utils import ExplorationType

from vla_runtime.learn.fused import FusedPolicy
from vla_runtime.learn.grpo.explorer import Explorer
from vla_runtime.learn.grpo.ray import ray_collector
from vla_runtime.learn.grpo.samples import ROWS
from vla_runtime.learn.keys import IMAGE, INSTRUCTION_ID, LOG_PROBS, STATE, TOKENS

__all__ = ["Backend", "Rollouts", "acting", "iteration_seed"]

Backend = Literal["local", "ray"]
_ENDLESS = 1 << 60
"""Frames; RayCollector takes -1, which means it elsewhere, for none at all."""
_KEPT = (IMAGE, STATE, INSTRUCTION_ID, TOKENS, LOG_PROBS, ("next", "success"), ("next", "done"), ("next", ROWS))


def acting(policy: FusedPolicy, temperature: float = 1.0) -> FusedPolicy:
    """The same policy, weights shared, as it acts: plain tensors, a log-probability for each token, which are drawn at
    ``temperature``.
    """
    return policy.get_new_version(
        return_vla_action_container=False, log_probs_mode="token", return_logits=False, temperature=temperature
    )


def iteration_seed(seed: int, iteration: int) -> int:
    """A seed of its own for every iteration of every run."""
    return (seed * 1_000_003 + iteration * 7_919 + 1) % 2**31


class Rollouts:
    """Rounds of episodes by ``policy``, whose tokens are drawn at ``temperature``, with noise of which the share
    ``coherence`` lasts an episode, in the dimensions ``varied`` bool[A] (None: all), or with ``greedy`` the likeliest.

    Args:
        makers: each makes an environment of its part of a round's episodes; all have the same size. One is run in this
            process (or on one Ray actor), several in a worker process each.
        episodes: of a round, over all makers.
        steps: of a round.
        fresh: whether every round begins with a reset; else the environments keep rounds themselves.
        backend: ``ray`` puts each environment and a copy of the policy into a Ray actor.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], EnvBase]],
        policy: FusedPolicy,
        temperature: float = 1.0,
        coherence: float = 0.0,
        varied: Tensor | None = None,
        *,
        episodes: int,
        steps: int,
        fresh: bool = False,
        greedy: bool = False,
        backend: Backend = "local",
    ) -> None:
        self._shape = (episodes, steps)
        self._policy = Explorer(acting(policy, temperature), coherence, varied)
        settings = {
            "frames_per_batch": episodes * steps,
            "total_frames": _ENDLESS - _ENDLESS % (episodes * steps),
            "exploration_type": ExplorationType.DETERMINISTIC if greedy else ExplorationType.RANDOM,
            "reset_at_each_iter": fresh,
        }
        if backend == "ray":
            self._collector = ray_collector(makers, self._policy, settings)
        else:
            # With buffers, torchrl 0.14.1 waits for its workers in a loop that takes a whole core from them.
            env = makers[0]() if len(makers) == 1 else ParallelEnv(len(makers), list(makers), use_buffers=False)
            self._collector = Collector(env, self._policy, auto_register_policy_transforms=False, **settings)
        self._remote = backend == "ray"
        self._batches: Iterator[TensorDictBase] = iter(self._collector)

    def collect(self, seed: int) -> TensorDict:
        """One round, TensorDict [episodes, steps]: what was shown, the tokens and their log-probabilities, ``("next",
        "success")`` and ``("next", "done")``. What follows an episode's end in its row belongs to no episode.

        The same weights and ``seed`` draw the same tokens.
        """
        if self._remote:
            self._collector.update_policy_weights_(self._policy)
            self._collector.set_seed(seed)
            batch = next(self._batches)
        else:
            with torch.random.fork_rng(devices=[]):
                self._collector.set_seed(seed)
                torch.manual_seed(seed)
                batch = next(self._batches)
        return batch.select(*_KEPT).reshape(*self._shape)

    def close(self) -> None:
        """End all workers; those that are gone already are no error."""
        try:
            self._collector.shutdown()
        except RuntimeError as error:
            # A signal may have ended some before: torchrl then ends the others and says so.
            logging.getLogger(__name__).info("on closing: %s", error)
