"""A directory of episodes as a training and a validation set, whole episodes apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tensordict import TensorDict

from vla_runtime.core.errors import LogError
from vla_runtime.core.instructions import sha1_mod
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.episodes import Demonstration, read_demonstration
from vla_runtime.learn.frames import samples_of

__all__ = ["Dataset", "hold_out", "load_dataset", "task_facts"]

_EXPERT = "expert-"


@dataclass(frozen=True, eq=False)
class Dataset:
    """``train`` [N] and ``validation`` [M] as ``data.sample_buffer`` takes them; no episode is in both.

    ``episodes`` and ``held_out`` are their numbers of episodes. ``unusable`` says why a file could not be used,
    ``skipped`` counts the chunks that are no samples, by reason; ``truncated`` files were used up to where they end.
    """

    facts: TaskFacts
    train: TensorDict
    validation: TensorDict
    episodes: int
    held_out: int
    unusable: Mapping[str, str]
    skipped: Mapping[str, int]
    truncated: int


def load_dataset(
    directory: Path, *, val_fraction: float = 0.05, seed: int = 0, say: Callable[[str], None] = lambda line: None
) -> Dataset:
    """All episodes in ``directory`` (``*.mcap``, not below it); about ``val_fraction`` of them are held out.

    ``say`` is told, in a line, how far it has come.

    Raises:
        LogError: there is no usable episode, or two of them are of different robots or contracts; the message names
            both files and values.
    """
    if not directory.is_dir():
        raise LogError(f"{directory} is no directory, expected one with episodes (*.mcap)")
    paths = sorted(directory.glob("*.mcap"))
    found: list[Demonstration] = []
    unusable: dict[str, str] = {}
    for number, path in enumerate(paths, 1):
        try:
            demonstration = read_demonstration(path)
        except LogError as error:
            unusable[path.name] = str(error)
            continue
        if demonstration.samples:
            found.append(demonstration)
        else:
            reasons = ", ".join(demonstration.skipped) or "it holds none"
            unusable[path.name] = f"{path} holds no chunk to learn from: {reasons}"
        if number % 100 == 0:
            say(f"read {number} of {len(paths)} episodes")
    if not found:
        why = next(iter(unusable.values()), "there is no file *.mcap in it")
        raise LogError(f"{directory} holds no episode to learn from: {why}")
    facts = task_facts(found)
    held_out = hold_out(found, val_fraction, seed)
    kept = [demonstration for demonstration in found if demonstration not in held_out]
    skipped = sum((demonstration.skipped for demonstration in found), Counter())
    # Training samples first: the two sets are then views of one block of memory.
    samples = samples_of([*kept, *held_out], facts, say)
    boundary = len(samples) - sum(len(demonstration.samples) for demonstration in held_out)
    return Dataset(
        facts=facts,
        train=samples[:boundary],
        validation=samples[boundary:],
        episodes=len(kept),
        held_out=len(held_out),
        unusable=unusable,
        skipped=skipped,
        truncated=sum(demonstration.truncated for demonstration in found),
    )


def hold_out(found: Sequence[Demonstration], fraction: float, seed: int) -> list[Demonstration]:
    """About ``fraction`` of ``found``, at random but the same for the same seed; at least one, if there are several
    and ``fraction`` is not 0. The last episode of an instruction is never held out.
    """
    wanted = max(1, round(fraction * len(found))) if fraction > 0 and len(found) > 1 else 0
    left = Counter(text for demonstration in found for text in _texts(demonstration))
    held: list[Demonstration] = []
    for demonstration in random.Random(seed).sample(list(found), len(found)):
        texts = _texts(demonstration)
        if len(held) < wanted and all(left[text] > 1 for text in texts):
            held.append(demonstration)
            left.subtract(texts)
    return held


def task_facts(found: Sequence[Demonstration]) -> TaskFacts:
    """What the episodes have in common; the instructions are those that were given.

    Raises:
        LogError: two of them disagree.
    """
    first = found[0]
    for other in found[1:]:
        for what, (ours, theirs) in _differences(first.spec, other.spec).items():
            raise LogError(
                f"{first.path} and {other.path} do not belong together: {what} {ours} and {theirs}; "
                "train on episodes of one robot and one chunk length"
            )
    spec = first.spec
    texts = sorted({text for demonstration in found for text in _texts(demonstration)})
    names = sorted({demonstration.spec.name.removeprefix(_EXPERT) for demonstration in found})
    return TaskFacts(
        name="+".join(names),
        actions={action.name: action.unit for action in spec.actions},
        state={entry.name: entry.unit for entry in spec.state},
        cameras={camera.name: (camera.height, camera.width) for camera in spec.cameras},
        instructions=texts,
        dt_ns=spec.dt_ns,
        chunk_length=spec.chunk_length,
        text_vocab=_text_vocab(texts),
        state_time=spec.state_time,
    )


def _texts(demonstration: Demonstration) -> set[str]:
    return {sample.instruction for sample in demonstration.samples}


def _differences(ours: PolicySpec, theirs: PolicySpec) -> dict[str, tuple[object, object]]:
    views = [
        {
            "joints": [(action.name, action.unit) for action in spec.actions],
            "state inputs": [(entry.name, entry.unit) for entry in spec.state],
            "cameras": [(camera.name, camera.height, camera.width) for camera in spec.cameras],
            "chunk length": spec.chunk_length,
            "dt_ns": spec.dt_ns,
            "state_time": spec.state_time,
        }
        for spec in (ours, theirs)
    ]
    return {what: (views[0][what], views[1][what]) for what in views[0] if views[0][what] != views[1][what]}


def _text_vocab(texts: Sequence[str]) -> int:
    """The smallest number of ids, from 256, with which no two instructions share one."""
    return next(vocab for vocab in count(256) if len({sha1_mod(text, vocab) for text in texts}) == len(texts))
