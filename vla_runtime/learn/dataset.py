"""A directory of demonstrations as a training and a validation set, whole episodes apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.store.open import Store, in_memory
from vla_runtime.learn.store.rows import Rows
from vla_runtime.learn.store.sources import left_out, open_source
from vla_runtime.learn.store.split import split
from vla_runtime.learn.summary import Summary

__all__ = ["Dataset", "load_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """``train`` [N] and ``validation`` [M] as ``data.sample_buffer`` takes them; no episode is in both.

    ``episodes`` and ``held_out`` are their numbers of episodes; ``state`` and ``action`` sum up the training
    samples. ``unusable`` says why a file could not be used, ``skipped`` counts the chunks that are no samples, by
    reason; ``truncated`` files were used up to where they end.
    """

    facts: TaskFacts
    train: Rows
    validation: Rows
    episodes: int
    held_out: int
    state: Summary
    action: Summary
    unusable: Mapping[str, str]
    skipped: Mapping[str, int]
    truncated: int


def load_dataset(
    directory: Path,
    *,
    val_fraction: float = 0.05,
    seed: int = 0,
    options: SetOptions | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """All episodes in ``directory``, which ``open_source`` can open; about ``val_fraction`` of them are held out.

    A store stays on disk. Everything else is decoded into memory. ``options`` are for another project's data set.
    ``say`` is told, in a line, how far it has come.

    Raises:
        LogError: there is no usable episode, they do not fit into memory, or two of them are of different robots or
            contracts; the message names both files and values.
        ConfigError, MissingExtra: as ``open_source``.
    """
    source = open_source(directory, options=options, keep=True, say=say)
    store = source if isinstance(source, Store) else in_memory(source, say)
    return Dataset(**vars(split(store, val_fraction, seed)), **vars(left_out(source)))
