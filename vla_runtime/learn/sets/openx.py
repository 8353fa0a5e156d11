"""Open X-Embodiment data sets as torchrl's ``OpenXExperienceReplay`` stores them on disk.

``<root>/<dataset_id>`` is a memory-mapped tensordict over the steps of all episodes, one after another: a file
``NAME.memmap`` a leaf, with shapes and types in each folder's ``meta.json``. It is read leaf by leaf: what torchrl had
to pickle is never loaded, and texts are not made into one object a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensordict import TensorDict

from vla_runtime.core.errors import ConfigError, LogError, choices
from vla_runtime.core.types import U8
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.sets.memmap import Folder, Leaf
from vla_runtime.learn.sets.options import SetOptions
from vla_runtime.learn.sets.pixels import resized
from vla_runtime.learn.sets.samples import episode_samples, finite_f32
from vla_runtime.learn.vocab import text_vocab

__all__ = ["OpenXSet", "is_openx"]

_TEXTS = (("language_instruction",), ("observation", "natural_language_instruction"))


def is_openx(path: Path) -> bool:
    """Whether the directory looks like one of torchrl's."""
    return (path / "meta.json").is_file() and (path / "episode.memmap").is_file() and (path / "observation").is_dir()


class OpenXSet:
    """The data set in ``path``. It does not say its rate: ``options.rate_hz`` must.

    Raises:
        ConfigError: no rate, a camera that it lacks, or an instruction although it has its own.
        LogError: a leaf is missing, cut or of another shape; or an episode's steps are not together.
    """

    def __init__(self, path: Path, options: SetOptions) -> None:
        if options.rate_hz is None:
            raise ConfigError(f"{path} does not say how many steps a second it has; give rate_hz")
        root = Folder(path)
        observation = root.folder("observation")
        self._options = options
        self._action = _vector(root, options.action or ("action",), "action")
        self._state = _vector(observation, options.state or ("state",), "state")
        self._cameras = _cameras(observation, options.cameras)
        steps = {leaf.path: leaf.shape[0] for leaf in (*self._action, *self._state, *self._cameras.values())}
        self._bounds = _episodes(root)
        for file, found in steps.items():
            if found != self._bounds[-1]:
                raise LogError(f"{file} has {found} steps, expected the {self._bounds[-1]} of episode.memmap")
        self._texts = _texts(root, self._bounds[-1], options.instruction)
        instructions = sorted(set(self._texts))
        self._facts = TaskFacts(
            name=path.resolve().name,
            actions=dict.fromkeys(_labels(self._action, "action"), options.units),
            state=dict.fromkeys(_labels(self._state, "state"), options.units),
            cameras={name: options.size or leaf.shape[2:] for name, leaf in self._cameras.items()},
            instructions=instructions,
            dt_ns=round(1e9 / options.rate_hz),
            chunk_length=options.chunk_length,
            text_vocab=text_vocab(instructions),
            state_time="capture",
        )
        encoding = self._facts.encoding()
        self._ids = {text: encoding.encode(text) for text in instructions}

    @property
    def facts(self) -> TaskFacts:
        """What all episodes have in common; the instructions are those that were given."""
        return self._facts

    @property
    def lengths(self) -> Sequence[int]:
        """Steps of each episode."""
        return [stop - start for start, stop in pairwise(self._bounds)]

    def read(self, episode: int) -> TensorDict:
        """See ``Source.read``.

        Raises:
            LogError: a number is not finite, or a file was cut since the data set was opened.
        """
        start = self._bounds[range(len(self._bounds) - 1)[episode]]
        stop = start + self.lengths[episode]
        return episode_samples(
            {name: self._images(name, leaf.rows(start, stop)) for name, leaf in self._cameras.items()},
            _numbers(self._state, start, stop),
            [self._ids[text] for text in self._texts[start:stop]],
            _numbers(self._action, start, stop),
            self._facts.chunk_length,
        )

    def _images(self, name: str, stored: U8) -> U8:
        pixels = np.empty((len(stored), *self._facts.cameras[name], 3), np.uint8)
        for row, image in enumerate(stored):
            pixels[row] = resized(np.ascontiguousarray(image.transpose(1, 2, 0)), self._facts.cameras[name])
        return pixels


def _vector(folder: Folder, names: Sequence[str], what: str) -> list[Leaf]:
    """The leaves f[N, D] of ``names``; of one that is a folder (an action in parts), all its floating leaves."""
    found: list[Leaf] = []
    for name in names:
        if name in folder.folders:
            inside = folder.folder(name)
            found += [inside.leaf(part) for part in inside.leaves if inside.leaf(part).dtype.kind == "f"]
        else:
            found.append(folder.leaf(name))
    for leaf in found:
        if len(leaf.shape) not in (1, 2) or leaf.dtype.kind not in "fiu":
            raise LogError(f"{leaf.path} is {leaf.dtype} of shape {list(leaf.shape)}, expected numbers [steps, D]")
    if not found:
        raise LogError(f"{folder.path} has no floating numbers for the {what} in {', '.join(names)}")
    return found


def _labels(leaves: Sequence[Leaf], prefix: str) -> list[str]:
    """``prefix_0``, ``prefix_1`` ... or, of several leaves, each with its own name for a prefix."""
    labels = []
    for leaf in leaves:
        of_leaf = prefix if len(leaves) == 1 else leaf.name
        labels += [f"{of_leaf}_{number}" for number in range(leaf.width)]
    return labels


def _numbers(leaves: Sequence[Leaf], start: int, stop: int) -> NDArray[np.float32]:
    parts = [
        finite_f32(leaf.rows(start, stop).reshape(stop - start, -1), f"{leaf.path} from step {start}")
        for leaf in leaves
    ]
    return np.concatenate(parts, axis=1)


def _cameras(observation: Folder, wanted: Sequence[str] | None) -> dict[str, Leaf]:
    """Those that torchrl stored as pixels, u8[N, 3, H, W]."""
    leaves = {name: observation.leaf(name) for name in observation.leaves}
    found = {
        name: leaf
        for name, leaf in sorted(leaves.items())
        if leaf.dtype == np.uint8 and len(leaf.shape) == 4 and leaf.shape[1] == 3
    }
    for name in wanted or ():
        if name not in found:
            raise ConfigError(
                f"{observation.path} has no images u8[steps, 3, height, width] named {name!r}; {choices(name, found)}"
            )
    return found if wanted is None else {name: found[name] for name in wanted}


def _episodes(root: Folder) -> list[int]:
    """Where episodes begin, and the number of steps."""
    numbers = root.leaf("episode").rows(0, None).reshape(-1)
    if not len(numbers):
        raise LogError(f"{root.path} holds no step")
    starts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()]
    if len(starts) != len(np.unique(numbers)):
        raise LogError(f"{root.path / 'episode.memmap'}: the steps of an episode are not together")
    done = root.folder("next").leaf("done").rows(0, None).reshape(-1)
    bounds = [*starts, len(numbers)]
    for episode, (start, stop) in enumerate(pairwise(bounds)):
        early = np.flatnonzero(done[start : stop - 1])
        if len(early):
            raise LogError(
                f"{root.path / 'next/done.memmap'} ends episode {episode} at its step {early[0]}, "
                f"expected {stop - start} steps as in episode.memmap"
            )
    return bounds


def _texts(root: Folder, steps: int, given: str | None) -> list[str]:
    for *folders, name in _TEXTS:
        folder = root
        for inner in folders:
            folder = folder.folder(inner)
        if name in folder.folders:
            if given is not None:
                raise ConfigError(f"an instruction is given, but {folder.path} holds its own: {name}")
            return folder.texts(name, steps)
    if given is None:
        raise LogError(f"{root.path} holds no language_instruction, expected one, or that an instruction is given")
    return [given] * steps
