"""No garbage collection while a loop runs: a full one takes milliseconds, whenever it likes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Collector"]


class Collector:
    """Keeps the garbage collector out of loops. ``collections`` counts those that ran inside one all the same."""

    def __init__(self) -> None:
        self.collections = 0
        gc.collect()

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Nothing is collected inside; at the end, all that has become garbage by then."""
        before = gc.isenabled()
        gc.freeze()
        gc.disable()
        gc.callbacks.append(self._count)
        try:
            yield
        finally:
            gc.callbacks.remove(self._count)
            gc.unfreeze()
            if before:
                gc.enable()
            gc.collect()

    def _count(self, phase: str, info: dict[str, int]) -> None:
        self.collections += phase == "start"
