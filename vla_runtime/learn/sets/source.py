"""What every reader of demonstrations gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tensordict import TensorDict

from vla_runtime.learn.contract import TaskFacts

__all__ = ["Source"]


class Source(Protocol):
    """Demonstrations from anywhere, one episode at a time."""

    @property
    def facts(self) -> TaskFacts:
        """What all episodes have in common."""

    @property
    def lengths(self) -> Sequence[int]:
        """Samples (steps) of each episode."""

    def read(self, episode: int) -> TensorDict:
        """The samples of ``episode``, TensorDict [T], in physical units, as ``learn.data.chunked`` gives them.

        ``IMAGE`` a tensordict of u8[T, 3, H, W] by camera name, ``STATE`` f32[T, S], ``INSTRUCTION_ID`` i64[T],
        ``CHUNK`` f32[T, H, A], ``IS_PAD`` bool[T, H]. Chunks never leave their episode.
        """
