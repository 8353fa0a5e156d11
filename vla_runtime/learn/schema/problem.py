"""What is wrong with data: each point names the key, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tensordict.utils import NestedKey

from vla_runtime.core.errors import Refusal

__all__ = ["Problem", "SchemaError"]


@dataclass(frozen=True)
class Problem:
    """One point in which data leave the schema."""

    key: NestedKey
    found: str
    expected: str

    def __str__(self) -> str:
        name = self.key if isinstance(self.key, str) else "/".join(self.key)
        return f"{name}: {self.found} found, {self.expected} expected"


class SchemaError(Refusal, ValueError):
    """Data do not follow the schema.

    Args:
        problems: all of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"the data do not follow the schema:{lines}")
