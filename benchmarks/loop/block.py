"""What one arm did in one block of a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_runtime.control.histogram import Histogram

__all__ = ["Block", "Pooled", "pool"]

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """``late`` i64[N]: how late each tick began, ns. ``compute`` i64[M]: how long each took (none for the C loop), and
    ``to_command``: until its command was handed over, as the loop itself counts it.

    ``deadlines`` went by in all; those at which no tick began are ``skipped``. ``collections`` of garbage ran.
    """

    late: I64
    deadlines: int
    compute: I64
    collections: int = 0
    to_command: Histogram | None = None

    @property
    def skipped(self) -> int:
        return self.deadlines - len(self.late)

    def missed(self, period_ns: int) -> int:
        """Deadlines at which no tick had begun when the next one was due."""
        return self.skipped + int((self.late >= period_ns).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The blocks of an arm together: ``late`` i64[N] ns, and the share of deadlines missed."""

    late: I64
    missed: int
    deadlines: int

    def late_ns(self, share: float) -> float:
        """The lateness that a ``share`` of the ticks does not exceed."""
        return float(np.quantile(self.late, share))

    @property
    def missed_share(self) -> float:
        return self.missed / self.deadlines


def pool(blocks: Sequence[Block], period_ns: int) -> Pooled:
    """All samples of ``blocks``."""
    return Pooled(
        np.concatenate([block.late for block in blocks]),
        sum(block.missed(period_ns) for block in blocks),
        sum(block.deadlines for block in blocks),
    )
