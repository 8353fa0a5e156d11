"""A run's figures, step by step: two tables and TensorBoard's events."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vla_runtime.core.errors import MissingExtra
from vla_runtime.learn.runs.directory import RunDirectory
from vla_runtime.learn.runs.table import Table

__all__ = ["Logs"]


class Logs:
    """Figures of ``directory``'s run, which goes on after step ``last_step``: what later steps have left is removed.

    TensorBoard's own writer, since torchrl's TensorboardLogger opens it without ``purge_step``: readers would show the
    steps that were done twice twice.
    """

    def __init__(self, directory: RunDirectory, last_step: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what tensorboard imports
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtra("a run directory", "train") from error

        self._progress = Table(directory.progress, last_step)
        self._evaluations = Table(directory.evaluations, last_step)
        _number(directory.tensorboard)
        self._events = SummaryWriter(str(directory.tensorboard), purge_step=last_step + 1)

    def step(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        """A step's figures; ``seconds`` since the run began."""
        self._progress.append(step, {"seconds": round(seconds, 3), **figures})
        self._add("train", step, figures)

    def evaluation(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Those of the evaluation after a step."""
        self._evaluations.append(step, {"seconds": round(seconds, 3), **figures})
        self._add("evaluation", step, figures)

    def sync(self) -> None:
        """Return when all of them are on the disk, as they must be before the state that follows them."""
        self._progress.sync()
        self._evaluations.sync()
        with suppress(OSError):
            self._events.flush()

    def close(self) -> None:
        self._progress.close()
        self._evaluations.close()
        self._events.close()

    def _add(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)


def _number(folder: Path) -> None:
    """Put a number where the earlier event files have the second of their beginning.

    Readers take files in the order of their names, and a new one could begin in the same second or by another clock.
    """
    for number, path in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
        *front, _, rest = path.name.split(".", 4)
        path.rename(path.with_name(".".join([*front, f"{number:010d}", rest])))
