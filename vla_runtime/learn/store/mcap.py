"""Our own episode files as a source of demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensordict import TensorDict

from vla_runtime.core.errors import LogError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.episodes import Demonstration, read_demonstration
from vla_runtime.learn.frames import samples_of
from vla_runtime.learn.vocab import text_vocab

__all__ = ["McapEpisodes", "task_facts"]

_EXPERT = "expert-"


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    spec: PolicySpec
    texts: frozenset[str]
    samples: int


class McapEpisodes:
    """The files ``directory/*.mcap`` (not below it), in the order of their names.

    They are looked through once, without their images. ``unusable`` says why a file could not be used, ``skipped``
    counts the chunks that are no samples, by reason; ``truncated`` files are used up to where they end.

    Args:
        keep: what was found is kept, which takes some 1.3 kB a sample and halves the time for who reads all of them at
            once; else ``read`` opens the file again.
        say: is told, in a line, how far it has come.

    Raises:
        LogError: there is no usable episode, or two of them are of different robots or contracts; the message names
            both files and values.
    """

    def __init__(self, directory: Path, keep: bool = False, say: Callable[[str], None] = lambda line: None) -> None:
        paths = sorted(directory.glob("*.mcap"))
        self.unusable: Mapping[str, str] = {}
        self.skipped: Counter[str] = Counter()
        self.truncated = 0
        self._kept: dict[int, Demonstration] = {}
        found: list[_Found] = []
        for number, path in enumerate(paths, 1):
            try:
                demonstration = read_demonstration(path)
            except LogError as error:
                self.unusable[path.name] = str(error)
                continue
            if demonstration.samples:
                if keep:
                    self._kept[len(found)] = demonstration
                found.append(_found(demonstration))
                self.skipped.update(demonstration.skipped)
                self.truncated += demonstration.truncated
            else:
                reasons = ", ".join(demonstration.skipped) or "it holds none"
                self.unusable[path.name] = f"{path} holds no chunk to learn from: {reasons}"
            if number % 100 == 0:
                say(f"looked at {number} of {len(paths)} episodes")
        if not found:
            why = next(iter(self.unusable.values()), "there is no file *.mcap in it")
            raise LogError(f"{directory} holds no episode to learn from: {why}")
        self._found = found
        self._facts = task_facts(found)

    @property
    def facts(self) -> TaskFacts:
        """What the episodes have in common; the instructions are those that were given."""
        return self._facts

    @property
    def lengths(self) -> Sequence[int]:
        """Samples of each episode."""
        return [found.samples for found in self._found]

    def read(self, episode: int) -> TensorDict:
        """See ``Source.read``.

        Raises:
            LogError: a frame cannot be decoded, or the file has changed since it was looked at.
        """
        demonstration = self._kept.pop(episode, None)
        found = self._found[episode]
        if demonstration is None:
            demonstration = read_demonstration(found.path)
            if _found(demonstration) != found:
                raise LogError(f"{found.path} has changed since it was looked at")
        return samples_of(demonstration, self._facts)


def _found(demonstration: Demonstration) -> _Found:
    texts = frozenset(sample.instruction for sample in demonstration.samples)
    return _Found(demonstration.path, demonstration.spec, texts, len(demonstration.samples))


def task_facts(found: Sequence[_Found]) -> TaskFacts:
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
    texts = sorted(frozenset[str]().union(*(episode.texts for episode in found)))
    names = sorted({episode.spec.name.removeprefix(_EXPERT) for episode in found})
    return TaskFacts(
        name="+".join(names),
        actions={action.name: action.unit for action in spec.actions},
        state={entry.name: entry.unit for entry in spec.state},
        cameras={camera.name: (camera.height, camera.width) for camera in spec.cameras},
        instructions=texts,
        dt_ns=spec.dt_ns,
        chunk_length=spec.chunk_length,
        text_vocab=text_vocab(texts),
        state_time=spec.state_time,
    )


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
