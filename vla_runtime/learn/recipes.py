"""The recipes: from a task and a seed to a trained checkpoint, with the sizes that reach the stated success."""

from __future__ import annotations

from dataclasses import dataclass

from tensordict import TensorDict
from torchrl.envs.transforms import Transform

from vla_runtime.learn import poses, toy
from vla_runtime.learn.bc import train
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.contract import TaskFacts, make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.keys import ACTION, STATE
from vla_runtime.learn.noise import NoiseImages
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.poses import PoseTask
from vla_runtime.learn.scaling import Scaling

__all__ = ["ARM", "TOY", "Recipe", "train_arm", "train_toy"]


@dataclass(frozen=True)
class Recipe:
    """Sizes of a behaviour-cloning run."""

    steps: int
    batch_size: int
    lr: float
    hidden_dim: int


TOY = Recipe(steps=400, batch_size=256, lr=3e-3, hidden_dim=64)
ARM = Recipe(steps=1500, batch_size=256, lr=2e-3, hidden_dim=64)


def train_toy(recipe: Recipe = TOY, *, seed: int = 0, quiet: bool = True) -> Checkpoint:
    """Clone the oracle of ToyVLAEnv. Same seed and same thread count, same weights."""
    return _clone(toy.facts(), toy.collect(seed=seed), recipe, seed, quiet)


def train_arm(task: PoseTask, recipe: Recipe = ARM, *, seed: int = 0, quiet: bool = True) -> Checkpoint:
    """Clone the expert of a pose task."""
    images = NoiseImages(task.cameras)
    return _clone(poses.facts(task), poses.collect(task, seed=seed), recipe, seed, quiet, images)


def _clone(
    facts: TaskFacts, demonstrations: TensorDict, recipe: Recipe, seed: int, quiet: bool, *further: Transform
) -> Checkpoint:
    spec = make_spec(facts, demonstrations[STATE], demonstrations[ACTION])
    policy_kwargs = {"hidden_dim": recipe.hidden_dim}
    policy = build_policy(spec, seed=seed, **policy_kwargs)
    samples = chunked(demonstrations, spec.chunk_length)
    buffer = sample_buffer(samples, Scaling.from_spec(spec), recipe.batch_size, *further)
    losses = train(policy, buffer, steps=recipe.steps, lr=recipe.lr, seed=seed, quiet=quiet)
    facts_of_training = {
        "method": "bc",
        "seed": seed,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "samples": demonstrations.numel(),
        "loss": sum(losses[-20:]) / max(len(losses[-20:]), 1),
    }
    return Checkpoint(spec, policy, policy_kwargs, facts_of_training)
