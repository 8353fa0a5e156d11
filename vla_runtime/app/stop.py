"""What asks a run to end from outside: signals and the end of its time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vla_runtime.control.cause import Stop

__all__ = ["StopSwitch"]


class StopSwitch:
    """Polled by the loop. A first SIGINT, SIGTERM or SIGHUP asks for a controlled stop, a second SIGINT for category 0.

    Outside a run (``armed`` false: parts are starting or closing) a signal raises KeyboardInterrupt instead.
    """

    def __init__(self, duration_s: float | None = None) -> None:
        self._stop: Stop | None = None
        self._duration_s = duration_s
        self._end_ns: int | None = None
        self.armed = False

    def poll(self) -> Stop | None:
        """The stop that is asked for now, None for none. The time runs from the first call."""
        if self._stop is None and self._duration_s is not None:
            now_ns = time.monotonic_ns()
            if self._end_ns is None:
                self._end_ns = now_ns + round(self._duration_s * 1e9)
            elif now_ns >= self._end_ns:
                self._stop = Stop("done", f"the duration of {self._duration_s:g} s is over")
        return self._stop

    @property
    def stop(self) -> Stop | None:
        """What was asked for so far, without a look at the time; None for nothing."""
        return self._stop

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP throw the switch inside this block."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the run shall outlive its terminal
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        again = self._stop is not None and self._stop.kind == "interrupted"
        if not self.armed:
            raise KeyboardInterrupt(name)
        self._stop = Stop("interrupted", name, emergency=again and number == signal.SIGINT)
