"""A weak start on the toy task: a token policy that was cloned from a timid expert."""

from __future__ import annotations

from dataclasses import replace

from vla_runtime.learn import toy
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.cloning import BehaviourCloning
from vla_runtime.learn.contract import make_spec
from vla_runtime.learn.data import chunked, sample_buffer
from vla_runtime.learn.keys import ACTION, STATE
from vla_runtime.learn.policy import build_policy
from vla_runtime.learn.recipes import finish
from vla_runtime.learn.scaling import Scaling

__all__ = ["TIMID", "weak_start"]

TIMID = 0.68
"""How much of the way to the target the expert goes: the tolerance is 0.1, targets lie up to 0.5 away."""
_SIZES = {"hidden_dim": 64, "num_bins": 16}


def weak_start(seed: int = 0, *, steps: int = 300, quiet: bool = True) -> Checkpoint:
    """A policy that goes 0.68 of the way: it succeeds in about a fifth of the episodes, where targets are near.

    Its 16 bins divide the range of what the task asks for, not of what it was shown, so that it can do better.
    """
    demonstrations = toy.collect(seed=seed)
    spec = make_spec(toy.facts(), demonstrations[STATE], demonstrations[ACTION], "tokens")
    demonstrations[ACTION] = TIMID * demonstrations[ACTION]
    policy = build_policy(spec, "tiny", seed=seed, **_SIZES)
    buffer = sample_buffer(chunked(demonstrations, spec.chunk_length), Scaling.from_spec(spec), 256)
    known = {"method": "bc", "seed": seed}
    untrained = Checkpoint(spec, policy, _SIZES, known)
    made = finish(BehaviourCloning(untrained, buffer, lambda made: {}, steps=steps, lr=3e-3, seed=seed), quiet=quiet)
    return replace(made, training={**made.training, "start": "timid"})
