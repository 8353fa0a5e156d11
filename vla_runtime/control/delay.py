"""How long a plan takes, estimated so that a request is sent early enough and no single slow one is held forever."""

from __future__ import annotations

from collections import deque

__all__ = ["DelayEstimate"]


class DelayEstimate:
    """The largest of the last ``count`` delays no older than ``window_ns``; 0 while there is none."""

    def __init__(self, count: int = 10, window_ns: int = 10_000_000_000) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=count)
        self._window_ns = window_ns
        self._largest_ns = 0

    def add(self, delay_ns: int, now_ns: int) -> None:
        self._samples.append((now_ns, delay_ns))
        self._find_largest()

    def at(self, now_ns: int) -> int:
        if self._samples and now_ns - self._samples[0][0] > self._window_ns:
            while self._samples and now_ns - self._samples[0][0] > self._window_ns:
                self._samples.popleft()
            self._find_largest()
        return self._largest_ns

    def _find_largest(self) -> None:
        self._largest_ns = max((delay for _, delay in self._samples), default=0)
