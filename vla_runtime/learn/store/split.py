"""Which episodes are trained on and which are held out, and batches of the former."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torchrl.data import TensorDictReplayBuffer
from torchrl.envs.transforms import Transform

from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.data import sample_buffer
from vla_runtime.learn.keys import INSTRUCTION_ID
from vla_runtime.learn.scaling import scaling_of
from vla_runtime.learn.store.open import Store
from vla_runtime.learn.store.rows import Rows
from vla_runtime.learn.store.statistics import summary
from vla_runtime.learn.summary import Summary

__all__ = ["Split", "hold_out", "split", "training_buffer"]


@dataclass(frozen=True, eq=False)
class Split:
    """``train`` and ``validation`` share no episode; ``episodes`` and ``held_out`` are their numbers of episodes.

    ``state`` and ``action`` sum up the training samples, to normalise by; their percentiles are those of all episodes.
    """

    facts: TaskFacts
    train: Rows
    validation: Rows
    episodes: int
    held_out: int
    state: Summary
    action: Summary


def split(store: Store, val_fraction: float = 0.05, seed: int = 0) -> Split:
    """Hold out whole episodes of ``store``, about ``val_fraction`` of those with samples; see ``hold_out``."""
    ends = list(accumulate(store.lengths))
    ids = store.samples[INSTRUCTION_ID].numpy()
    spans = [range(end - length, end) for end, length in zip(ends, store.lengths, strict=True)]
    used = [episode for episode, span in enumerate(spans) if len(span)]
    said = [set(np.unique(ids[spans[episode].start : spans[episode].stop]).tolist()) for episode in used]
    held = {used[place] for place in hold_out(said, val_fraction, seed)}
    kept = [episode for episode in used if episode not in held]

    def rows(episodes: Sequence[int]) -> Rows:
        parts = [torch.arange(spans[episode].start, spans[episode].stop) for episode in episodes]
        return Rows(store.samples, torch.cat(parts) if parts else torch.empty(0, dtype=torch.long))

    moments = [store.moments[episode] for episode in kept]
    return Split(
        facts=store.facts,
        train=rows(kept),
        validation=rows(sorted(held)),
        episodes=len(kept),
        held_out=len(held),
        state=summary((of.state for of in moments), store.statistics.state),
        action=summary((of.action for of in moments), store.statistics.action),
    )


def hold_out(said: Sequence[Set[Hashable]], fraction: float, seed: int) -> set[int]:
    """About ``fraction`` of the episodes, by number, of which ``said`` holds the instructions of each.

    At random but the same for the same seed; at least one, if there are several and ``fraction`` is not 0. The last
    episode of an instruction is never held out.
    """
    wanted = max(1, round(fraction * len(said))) if fraction > 0 and len(said) > 1 else 0
    left = Counter(instruction for instructions in said for instruction in instructions)
    held: set[int] = set()
    for episode in random.Random(seed).sample(range(len(said)), len(said)):
        if len(held) < wanted and all(left[instruction] > 1 for instruction in said[episode]):
            held.add(episode)
            left.subtract(said[episode])
    return held


def training_buffer(
    data: Split,
    batch_size: int,
    *further: Transform,
    before: Sequence[Transform] = (),
    seed: int = 0,
    prefetch: bool = True,
) -> TensorDictReplayBuffer:
    """Batches of the training samples, each sample once an epoch in an order that ``seed`` chooses.

    With ``prefetch`` the next batch is made while the last one is trained on. State and chunk are normalised, images
    stay u8; see ``sample_buffer`` for ``further`` and ``before``: what draws random numbers there must have a generator
    of its own.
    """
    scaling = scaling_of(data.state, data.action)
    return sample_buffer(data.train, scaling, batch_size, *further, before=before, seed=seed, prefetch=prefetch)
