"""Episodes looked at one after another: is each what a policy can learn from, and what is in all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from tensordict.utils import NestedKey
from torch import Tensor

from vla_runtime.core.errors import LogError
from vla_runtime.learn.contract import TaskFacts
from vla_runtime.learn.keys import CHUNK, IMAGE, INSTRUCTION_ID, IS_PAD, STATE
from vla_runtime.learn.moments import Moments
from vla_runtime.learn.store.layout import columns
from vla_runtime.learn.store.statistics import Running, Statistics

__all__ = ["EpisodeMoments", "Survey"]


@dataclass(frozen=True, eq=False)
class EpisodeMoments:
    """Of an episode's states, and of the rows of its chunks that are no padding."""

    state: Moments
    action: Moments


class Survey:
    """Sees every episode once, in order; ``moments`` has an entry for each."""

    def __init__(self, facts: TaskFacts) -> None:
        self._facts = facts
        self._columns = columns(facts)
        self._ids = {facts.encoding().encode(text) for text in facts.instructions}
        self._state, self._action = Running(tuple(facts.state)), Running(tuple(facts.actions))
        self.moments: list[EpisodeMoments] = []

    def see(self, samples: TensorDict, length: int) -> dict[NestedKey, Tensor]:
        """Check the next episode, of ``length`` samples, and count it; returns what is to be stored, by key.

        Raises:
            LogError: another shape or type than the facts say, an instruction that is not theirs, or values that are
                not finite, with the episode and the dimension.
        """
        found = {key: self._column(samples, key, length) for key in self._columns}
        strange = set(found[INSTRUCTION_ID].tolist()) - self._ids
        if strange:
            raise LogError(f"{self._where} has instruction ids {sorted(strange)}, known are {sorted(self._ids)}")
        self._check_finite(found[STATE], tuple(self._facts.state), "state")
        self._check_finite(found[CHUNK], tuple(self._facts.actions), "action")
        actions = found[CHUNK][~found[IS_PAD]]
        self.moments.append(EpisodeMoments(self._state.see(found[STATE].numpy()), self._action.see(actions.numpy())))
        return found

    def statistics(self) -> Statistics:
        """Of all episodes seen."""
        return Statistics(self._state.columns(), self._action.columns())

    @property
    def _where(self) -> str:
        return f"episode {len(self.moments)}"

    def _column(self, samples: TensorDict, key: NestedKey, length: int) -> Tensor:
        expected = self._columns[key]
        value = samples.get(key, None)
        if not isinstance(value, Tensor):
            raise LogError(f"{self._where} has no tensor {key!r}")
        if _is_image(key):
            value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
        if (value.shape, value.dtype) != ((length, *expected.shape), expected.dtype):
            raise LogError(
                f"{self._where} has {key!r} of shape {list(value.shape)}, {value.dtype}, "
                f"expected {[length, *expected.shape]}, {expected.dtype}"
            )
        return value

    def _check_finite(self, values: Tensor, names: tuple[str, ...], what: str) -> None:
        finite = values.isfinite()
        if not finite.all():
            place = torch.nonzero(~finite)[0].tolist()
            value = values[tuple(place)].item()
            raise LogError(f"{self._where} holds {value} in {what} {names[place[-1]]!r} of its sample {place[0]}")


def _is_image(key: NestedKey) -> bool:
    return isinstance(key, tuple) and key[: len(IMAGE)] == IMAGE
