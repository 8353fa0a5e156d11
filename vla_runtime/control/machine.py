"""The running mode: which one it is, since when, why, and how long each has lasted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.mode import COMMANDING, FINAL, FOLLOWING, Event, Mode, next_mode
from vla_runtime.core.protocols import StopCategory

__all__ = ["ModeMachine"]


class ModeMachine:
    """Applies events to the table. ``cause`` is why the current mode was entered; in a final mode it latches."""

    def __init__(self, now_ns: int) -> None:
        self.mode = Mode.IDLE
        self.cause = Cause("done", "")
        self.entered_ns = now_ns
        self.spent_ns: Counter[str] = Counter()
        self._seen_ns = now_ns

    @property
    def moves(self) -> bool:
        """Commands are sent in this mode."""
        return self.mode in COMMANDING

    @property
    def plans(self) -> bool:
        """A plan is of use in this mode."""
        return self.mode in (Mode.IDLE, Mode.ALIGNING, Mode.RUNNING, Mode.HOLDING)

    @property
    def follows(self) -> bool:
        """Commands follow the plan in this mode."""
        return self.mode in FOLLOWING

    @property
    def over(self) -> bool:
        """The run has ended."""
        return self.mode in FINAL

    def stop_category(self, stop: Stop | None) -> StopCategory:
        """How the robot is asked to stop when the run ends in this mode, ``stop`` being what was asked for."""
        if stop is not None and stop.emergency:
            return StopCategory.IMMEDIATE
        return StopCategory.CONTROLLED_THEN_OFF if self.mode is Mode.FAULTED else StopCategory.CONTROLLED

    def update(self, now_ns: int, events: Iterable[tuple[Event, Cause]]) -> bool:
        """Apply the first of ``events`` that changes the mode; True if one did."""
        self.spent_ns[self.mode.value] += now_ns - self._seen_ns
        self._seen_ns = now_ns
        for event, cause in events:
            following = next_mode(self.mode, event)
            if following is not self.mode:
                # Coming to rest does not change why.
                if event is not Event.SETTLED:
                    self.cause = cause
                self.mode = following
                self.entered_ns = now_ns
                return True
        return False
