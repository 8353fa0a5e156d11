"""How far a training has come: a line that is rewritten on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

__all__ = ["Progress"]

_TERMINAL_S, _FILE_S = 0.2, 10.0


class Progress:
    """Call it after every step with the step's loss; it writes to ``stream`` how long the rest will take.

    ``clock`` gives seconds. That nobody reads the stream any more does not end a training.
    """

    def __init__(
        self, steps: int, stream: TextIO, prefix: str = "vla-train", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps, self._stream, self._prefix, self._clock = steps, stream, prefix, clock
        self._terminal = stream.isatty()
        self._begun = self._written = clock()
        self._done = 0

    def __call__(self, loss: float) -> None:
        """One more step is done."""
        self._done += 1
        now = self._clock()
        last = self._done == self._steps
        if not last and now - self._written < (_TERMINAL_S if self._terminal else _FILE_S):
            return
        self._written = now
        rate = self._done / max(now - self._begun, 1e-9)
        line = f"{self._prefix}: step {self._done} of {self._steps}, loss {loss:.4f}, {rate:.1f} steps/s"
        line += f", {_left((self._steps - self._done) / rate)} left" if not last else ""
        with suppress(OSError):
            if self._terminal:
                self._stream.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
            else:
                self._stream.write(line + "\n")
            self._stream.flush()


def _left(seconds: float) -> str:
    """90 s as "90 s", beyond two minutes in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
