"""What data are checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vla_runtime.core.spec import PolicySpec

__all__ = ["SchemaFacts"]


@dataclass(frozen=True)
class SchemaFacts:
    """The names of the actions and of the state inputs in their order, rows of a chunk, cameras to (height, width).

    Optional: the least and the greatest value of each action, how many tokens and how many instruction ids there are.
    """

    actions: tuple[str, ...]
    state: tuple[str, ...]
    chunk_length: int
    cameras: Mapping[str, tuple[int, int]]
    action_range: tuple[tuple[float, float], ...] | None = None
    vocab_size: int | None = None
    instruction_vocab: int | None = None

    def __post_init__(self) -> None:
        if self.action_range is not None and len(self.action_range) != len(self.actions):
            raise ValueError(f"{len(self.action_range)} action ranges given, expected {len(self.actions)}")

    @classmethod
    def from_spec(cls, spec: PolicySpec, vocab_size: int | None = None) -> SchemaFacts:
        """Those of a contract. Its actions' ``low`` and ``high`` are no limits, so no range is checked."""
        return cls(
            actions=tuple(action.name for action in spec.actions),
            state=tuple(entry.name for entry in spec.state),
            chunk_length=spec.chunk_length,
            cameras={camera.name: (camera.height, camera.width) for camera in spec.cameras},
            vocab_size=vocab_size,
            instruction_vocab=spec.instruction.vocab,
        )
