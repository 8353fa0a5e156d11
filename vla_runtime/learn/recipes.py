"""The recipes: from a task and a seed to a trained checkpoint, with the sizes that reach the stated success."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from tensordict import TensorDict
from torchrl.envs.transforms import Transform

from vla_runtime.core.spec import PolicySpec, StateTime
from vla_runtime.learn import toy
from vla_runtime.learn.augment import Augment
from vla_runtime.learn.bc import train
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.contract import TaskFacts, make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.dataset import Dataset
from vla_runtime.learn.flow_loss import Prefixes
from vla_runtime.learn.keys import ACTION, CHUNK, STATE
from vla_runtime.learn.policy import HEADS, build_policy
from vla_runtime.learn.progress import Progress
from vla_runtime.learn.scaling import Scaling
from vla_runtime.learn.takeover import Takeover
from vla_runtime.learn.validate import chunk_error

__all__ = ["LOGS", "TOY", "Recipe", "train_logs", "train_toy"]


@dataclass(frozen=True)
class Recipe:
    """A behaviour-cloning run: the policy's architecture and width, and what ``bc.train`` and ``Augment`` are given.

    ``state_time``: the instant of the states that the policy is shown, ``takeover`` or None for that of the data.
    """

    steps: int
    batch_size: int
    lr: float
    hidden_dim: int
    architecture: str = "tiny"
    warm_up: int = 0
    weight_decay: float = 0.0
    clip: float = math.inf
    augment: bool = False
    prefixes: Prefixes | None = None
    state_time: StateTime | None = None


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
    return _clone(toy.facts(), toy.collect(seed=seed), recipe, seed, quiet)


def train_logs(dataset: Dataset, recipe: Recipe = LOGS, *, seed: int = 0, quiet: bool = True) -> Checkpoint:
    """Clone what logged episodes did. Same episodes, seed and thread count, same weights.

    ``training`` holds the mean absolute error on both sets, in normalised units (``loss``, ``validation_loss``) and
    over the joints measured in rad (``error_rad``, ``validation_error_rad``); None where there is nothing to measure.

    Raises:
        ValueError: values that are not finite, two instructions with one id, or cameras that the architecture cannot
            take.
    """
    head = HEADS[recipe.architecture][0]
    facts = replace(dataset.facts, state_time=recipe.state_time or dataset.facts.state_time)
    spec = make_spec(facts, dataset.train[STATE], dataset.train[CHUNK], head)
    further = [Augment()] if recipe.augment else []
    made = _train(spec, dataset.train, recipe, seed, quiet, *further)
    train_error = chunk_error(made.policy, spec, dataset.train)
    validation = chunk_error(made.policy, spec, dataset.validation)
    made.training |= {
        "architecture": recipe.architecture,
        "lr": recipe.lr,
        "augment": recipe.augment,
        "state_time": spec.state_time,
        "episodes": dataset.episodes,
        "validation_episodes": dataset.held_out,
        "validation_samples": len(dataset.validation),
        "parameters": sum(parameter.numel() for parameter in made.policy.parameters()),
        "loss": train_error and train_error.normalised,
        "error_rad": train_error and train_error.by_unit.get("rad"),
        "validation_loss": validation and validation.normalised,
        "validation_error_rad": validation and validation.by_unit.get("rad"),
    }
    return made


def _clone(facts: TaskFacts, demonstrations: TensorDict, recipe: Recipe, seed: int, quiet: bool) -> Checkpoint:
    spec = make_spec(facts, demonstrations[STATE], demonstrations[ACTION])
    return _train(spec, chunked(demonstrations, spec.chunk_length), recipe, seed, quiet)


def _train(
    spec: PolicySpec, samples: TensorDict, recipe: Recipe, seed: int, quiet: bool, *further: Transform
) -> Checkpoint:
    policy_kwargs = {"hidden_dim": recipe.hidden_dim}
    policy = build_policy(spec, recipe.architecture, seed=seed, **policy_kwargs)
    before = [Takeover(spec)] if spec.state_time == "takeover" else []
    buffer = sample_buffer(samples, Scaling.from_spec(spec), recipe.batch_size, *further, before=before)
    on_step: Callable[[float], None] = (lambda loss: None) if quiet else Progress(recipe.steps, sys.stderr)
    losses = train(
        policy,
        buffer,
        steps=recipe.steps,
        lr=recipe.lr,
        warm_up=min(recipe.warm_up, recipe.steps // 10),
        weight_decay=recipe.weight_decay,
        clip=recipe.clip,
        prefixes=recipe.prefixes,
        seed=seed,
        on_step=on_step,
    )
    facts_of_training = {
        "method": "bc",
        "seed": seed,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "samples": len(samples),
        "loss": sum(losses[-20:]) / max(len(losses[-20:]), 1),
    }
    return Checkpoint(spec, policy, policy_kwargs, facts_of_training, architecture=recipe.architecture)
