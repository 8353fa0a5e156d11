"""The recipes: from a task and a seed to a trained checkpoint, with the sizes that reach the stated success."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tensordict import TensorDict
from torch import Tensor
from torchrl.envs.transforms import Transform

from vla_runtime.core.spec import Head, PolicySpec, ScalingMode, StateTime
from vla_runtime.learn import toy
from vla_runtime.learn.architectures import HEADS
from vla_runtime.learn.augment import Augment
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.cloning import BehaviourCloning
from vla_runtime.learn.contract import TaskFacts, make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.dataset import Dataset
from vla_runtime.learn.evaluate import toy_success
from vla_runtime.learn.flow_loss import Prefixes
from vla_runtime.learn.keys import ACTION, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.progress import Progress
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.store.rows import Rows
from vla_runtime.learn.summary import Summary
from vla_runtime.learn.takeover import Takeover
from vla_runtime.learn.validate import chunk_error

__all__ = ["LOGS", "TOY", "Recipe", "finish", "logs_training", "measure", "toy_training", "train_logs", "train_toy"]


@dataclass(frozen=True)
class Recipe:
    """A behaviour-cloning run: the policy's architecture and width, and what ``bc.Fit`` and ``Augment`` are given.

    ``head`` None: the first that the architecture has. ``state_time``: the instant of the states that the policy is
    shown, ``takeover`` or None for that of the data. ``scaling``, ``keep`` and ``clamp`` are those of ``make_spec``.
    """

    steps: int
    batch_size: int
    lr: float
    hidden_dim: int
    architecture: str = "tiny"
    head: Head | None = None
    warm_up: int = 0
    weight_decay: float = 0.0
    clip: float = math.inf
    augment: bool = False
    prefixes: Prefixes | None = None
    state_time: StateTime | None = None
    scaling: ScalingMode = "mean_std"
    keep: tuple[str, ...] = ()
    clamp: float | None = None

    def contract(
        self, facts: TaskFacts, states: Tensor | Summary, actions: Tensor | Summary, head: Head = "continuous"
    ) -> PolicySpec:
        """``make_spec`` with the normalisation of this recipe."""
        return make_spec(facts, states, actions, head, scaling=self.scaling, keep=self.keep, clamp=self.clamp)


TOY = Recipe(steps=400, batch_size=256, lr=3e-3, hidden_dim=64)
LOGS = Recipe(
    steps=4000,
    batch_size=64,
    lr=1e-3,
    hidden_dim=256,
    architecture="visuomotor",
    warm_up=100,
    weight_decay=1e-4,
    clip=1.0,
)


def train_toy(recipe: Recipe = TOY, *, seed: int = 0, quiet: bool = True) -> Checkpoint:
    """Clone the oracle of ToyVLAEnv. Same seed and same thread count, same weights."""
    return finish(toy_training(recipe, seed=seed), quiet=quiet)


def train_logs(dataset: Dataset, recipe: Recipe = LOGS, *, seed: int = 0, quiet: bool = True) -> Checkpoint:
    """Clone what logged episodes did. Same episodes, seed and thread count, same weights.

    ``training`` holds the figures of ``measure`` too.

    Raises:
        ValueError: values that are not finite, two instructions with one id, or cameras that the architecture cannot
            take.
    """
    made = finish(logs_training(dataset, recipe, seed=seed), quiet=quiet)
    made.training |= measure(made, dataset)
    return made


def toy_training(recipe: Recipe = TOY, *, seed: int = 0, episodes: int = 200) -> BehaviourCloning:
    """The training of ``train_toy``; its score is the success rate over ``episodes``."""

    def evaluation(made: Checkpoint) -> Mapping[str, float]:
        success = toy_success(made.policy, made.spec, episodes=episodes)
        return {"score": success, "success": success}

    demonstrations = toy.collect(seed=seed)
    spec = recipe.contract(toy.facts(), demonstrations[STATE], demonstrations[ACTION], _head(recipe))
    return _training(spec, chunked(demonstrations, spec.chunk_length), recipe, seed, evaluation)


def logs_training(dataset: Dataset, recipe: Recipe = LOGS, *, seed: int = 0) -> BehaviourCloning:
    """The training of ``train_logs``; its score falls with the error on the held-out episodes or, where there are none,
    on those that it is trained on.

    Raises:
        ValueError: as ``train_logs``.
    """

    def evaluation(made: Checkpoint) -> Mapping[str, float]:
        figures = {name: value for name, value in measure(made, dataset).items() if value is not None}
        return {"score": -figures.get("validation_loss", figures["loss"]), **figures}

    facts = replace(dataset.facts, state_time=recipe.state_time or dataset.facts.state_time)
    spec = recipe.contract(facts, dataset.state, dataset.action, _head(recipe))
    further = [Augment()] if recipe.augment else []
    training = _training(spec, dataset.train, recipe, seed, evaluation, *further)
    training.untrained.training |= {
        "architecture": recipe.architecture,
        "head": spec.head,
        "lr": recipe.lr,
        "augment": recipe.augment,
        "state_time": spec.state_time,
        "episodes": dataset.episodes,
        "validation_episodes": dataset.held_out,
        "validation_samples": len(dataset.validation),
        "parameters": sum(parameter.numel() for parameter in training.policy.parameters()),
    }
    return training


def measure(made: Checkpoint, dataset: Dataset) -> dict[str, float | None]:
    """The mean absolute error on both sets, in normalised units (``loss``, ``validation_loss``) and over the joints
    measured in rad (``error_rad``, ``validation_error_rad``); None where there is nothing to measure.
    """
    train = chunk_error(made.policy, made.spec, dataset.train)
    validation = chunk_error(made.policy, made.spec, dataset.validation)
    return {
        "loss": train and train.normalised,
        "error_rad": train and train.by_unit.get("rad"),
        "validation_loss": validation and validation.normalised,
        "validation_error_rad": validation and validation.by_unit.get("rad"),
    }


def finish(training: BehaviourCloning, *, quiet: bool) -> Checkpoint:
    """Do all steps, without a run directory."""
    show = Progress(training.steps, None if quiet else sys.stderr)
    while training.step_number < training.steps:
        show(training.step())
    return training.checkpoint()


def _head(recipe: Recipe) -> Head:
    return recipe.head or HEADS[recipe.architecture][0]


def _training(
    spec: PolicySpec,
    samples: TensorDict | Rows,
    recipe: Recipe,
    seed: int,
    evaluation: Callable[[Checkpoint], Mapping[str, float]],
    *further: Transform,
) -> BehaviourCloning:
    policy_kwargs = {"hidden_dim": recipe.hidden_dim}
    policy = build_policy(spec, recipe.architecture, seed=seed, **policy_kwargs)
    before = [Takeover(spec)] if spec.state_time == "takeover" else []
    buffer = sample_buffer(samples, Scaling.from_spec(spec), recipe.batch_size, *further, before=before)
    known = {"method": "bc", "seed": seed, "batch_size": recipe.batch_size, "samples": len(samples)}
    return BehaviourCloning(
        Checkpoint(spec, policy, policy_kwargs, known, architecture=recipe.architecture),
        buffer,
        evaluation,
        steps=recipe.steps,
        lr=recipe.lr,
        warm_up=min(recipe.warm_up, recipe.steps // 10),
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        prefixes=recipe.prefixes,
        seed=seed,
    )
