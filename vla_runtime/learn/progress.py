"""How far a training has come: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from tqdm import tqdm

__all__ = ["Progress"]

_TERMINAL_S, _FILE_S = 0.2, 10.0
_SHOWN = ("loss", "success", "reward")


class Progress:
    """Call it after every step with the step's figures; it writes to ``stream``, if there is one, how long the rest
    will take.

    ``done`` steps were done before. ``clock`` gives seconds. That nobody reads the stream any more does not end a
    training.
    """

    def __init__(
        self,
        steps: int,
        stream: TextIO | None,
        prefix: str = "vla-train",
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._stream, self._prefix, self._clock = steps, stream, prefix, clock
        self._begun = self._written = clock()
        self._first = self._done = done
        self._bar: tqdm | None = None
        if stream is not None and stream.isatty():
            tqdm.monitor_interval = 0  # no thread that watches the bar
            with suppress(OSError):
                self._bar = tqdm(
                    total=steps, initial=done, desc=prefix, file=stream, mininterval=_TERMINAL_S, dynamic_ncols=True
                )

    def __call__(self, figures: Mapping[str, float]) -> None:
        """One more step is done."""
        self._done += 1
        shown = ", ".join(f"{name} {figures[name]:.4f}" for name in _SHOWN if name in figures)
        with suppress(OSError):
            if self._bar is None:
                self._line(shown)
                return
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update()
            if self._done >= self._steps:
                self.close()

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.close()

    def _line(self, shown: str) -> None:
        now = self._clock()
        last = self._done >= self._steps
        if self._stream is None or (not last and now - self._written < _FILE_S):
            return
        self._written = now
        rate = (self._done - self._first) / max(now - self._begun, 1e-9)
        line = f"{self._prefix}: step {self._done} of {self._steps}, {shown}, {rate:.1f} steps/s"
        line += f", {_left((self._steps - self._done) / rate)} left" if not last else ""
        self._stream.write(line + "\n")
        self._stream.flush()


def _left(seconds: float) -> str:
    """90 s as "90 s", beyond two minutes in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
