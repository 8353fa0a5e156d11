"""What the loop counts about itself, in constant memory."""

from __future__ import annotations

from collections import Counter

from vla_runtime.control.histogram import Histogram
from vla_runtime.control.mode import Mode
from vla_runtime.control.rate import Rate
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.types import Intervention, Tick

__all__ = ["LoopMetrics"]


class LoopMetrics:
    """Durations in ns: how late ticks began, how long they computed, and how old a chunk's frames were on arrival."""

    def __init__(self) -> None:
        self.ticks = 0
        self.starved_ticks = 0
        self.first_command_ns: int | None = None
        self.overruns = 0
        self.late = Histogram()
        self.compute = Histogram()
        self.capture_to_chunk = Histogram()
        self.chunks_used = 0
        self.chunks_refused: Counter[str] = Counter()
        self.interventions: Counter[Intervention] = Counter()
        self.mode_ns: Counter[str] = Counter()

    def tick(self, tick: Tick) -> None:
        """Count one pass."""
        self.ticks += 1
        self.late.add(tick.late_ns)
        self.compute.add(tick.compute_ns)
        self.interventions.update(tick.interventions)
        self.starved_ticks += tick.mode == Mode.HOLDING.value
        if self.first_command_ns is None and tick.command is not None:
            self.first_command_ns = tick.now_ns + tick.compute_ns

    def end(self, rate: Rate, mode_ns: Counter[str], scheduler: Scheduler) -> None:
        """Take over what the parts counted during the run."""
        self.overruns = rate.overruns
        self.mode_ns = mode_ns
        self.chunks_used = scheduler.used
        self.chunks_refused = scheduler.refused

    def interventions_by_rule(self) -> dict[str, int]:
        """How many joint commands each rule changed."""
        totals: Counter[str] = Counter()
        for intervention, count in self.interventions.items():
            totals[intervention.rule] += count
        return dict(totals)

    def merge(self, other: LoopMetrics) -> None:
        """Add what another run counted."""
        self.ticks += other.ticks
        self.starved_ticks += other.starved_ticks
        self.overruns += other.overruns
        self.chunks_used += other.chunks_used
        for mine, theirs in (
            (self.late, other.late),
            (self.compute, other.compute),
            (self.capture_to_chunk, other.capture_to_chunk),
        ):
            mine.merge(theirs)
        self.chunks_refused += other.chunks_refused
        self.interventions += other.interventions
        self.mode_ns += other.mode_ns
