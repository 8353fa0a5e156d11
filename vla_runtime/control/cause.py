"""Why a run ended, or was asked to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Cause", "Kind", "Stop"]

Kind = Literal["done", "refused", "fault", "interrupted"]


@dataclass(frozen=True, slots=True)
class Cause:
    """How a run ends (``kind``) and what happened, for people (``text``)."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop asked for from outside the loop: a signal, the end of the duration, a robot that gave up.

    ``emergency`` asks for stop category 0 at once instead of a controlled stop.
    """

    kind: Kind
    text: str
    emergency: bool = False

    def __str__(self) -> str:
        """One line for the log, read back by ``parse``."""
        return f"{self.kind}{'!' if self.emergency else ''}: {self.text}"

    @classmethod
    def parse(cls, line: str) -> Stop | None:
        """The stop that ``line`` names, None for an empty one."""
        if not line:
            return None
        head, _, text = line.partition(": ")
        kinds: dict[str, Kind] = {"done": "done", "refused": "refused", "fault": "fault", "interrupted": "interrupted"}
        return cls(kinds[head.rstrip("!")], text, emergency=head.endswith("!"))
