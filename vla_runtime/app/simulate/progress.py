"""How far many episodes have come, for people who wait."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Progress"]

_SAY_S = 1.0


class Progress:
    """Counts episodes; ``say`` is told at most once a second, and of the last one."""

    def __init__(self, episodes: int, say: Callable[[str], None]) -> None:
        self._episodes, self._say = episodes, say
        self._done = self._successes = 0
        self._begun = self._said = time.monotonic()

    def add(self, success: bool) -> None:
        """One more is done."""
        self._done += 1
        self._successes += success
        now = time.monotonic()
        if now - self._said >= _SAY_S or self._done == self._episodes:
            self._said = now
            seconds = now - self._begun
            self._say(f"{self._done} of {self._episodes} episodes, {self._successes} successful, {seconds:.0f} s")
