"""What the loop counts about itself, in constant memory. docs/metrics.md says what each number is.

Everything comes from the records that are logged, so the process that has the log can count the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vla_runtime.control.histogram import Histogram
from vla_runtime.control.mode import FOLLOWING, Mode
from vla_runtime.control.rate import Rate
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.types import ActionChunk, Intervention, RobotState, Tick

__all__ = ["Durations", "LoopMetrics"]

_FOLLOWING = frozenset(mode.value for mode in FOLLOWING)
_HOLDING = Mode.HOLDING.value


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram of ns for each duration that is measured.

    Attributes:
        lateness: how late a tick began, after its deadline.
        tick: from a tick's beginning to its command being handed over.
        capture_to_chunk: from a chunk's oldest image to the tick that accepted it.
        chunk_to_use: from the planner's sending of a chunk to the first command that followed it.
        command_age: of the command that the robot's device stepped under, as its host measured it at that step.
        state_age: of the newest state, in each tick that had one.
        plan_age: of the oldest image that the followed plan was made from, in each tick that a row covered.
    """

    lateness: Histogram
    tick: Histogram
    capture_to_chunk: Histogram
    chunk_to_use: Histogram
    command_age: Histogram
    state_age: Histogram
    plan_age: Histogram

    @classmethod
    def empty(cls) -> Durations:
        return cls(*(Histogram() for _ in cls.__slots__))

    def named(self) -> list[tuple[str, Histogram]]:
        """Name and histogram of each."""
        return [(name, getattr(self, name)) for name in self.__slots__]


class LoopMetrics:
    """Counts and durations of one episode, or of several that were merged."""

    def __init__(self) -> None:
        self.ticks = 0
        self.starved_ticks = 0
        self.first_command_ns: int | None = None
        self.overruns = 0
        self.durations = Durations.empty()
        self.chunks_used = 0
        self.chunks_refused: Counter[str] = Counter()
        self.interventions: Counter[Intervention] = Counter()
        self.mode_ns: Counter[str] = Counter()
        self._state_ns: int | None = None
        self._plan_ns = 0
        self._sent_ns: int | None = None

    def states(self, states: Sequence[RobotState]) -> None:
        """The states that arrived in a pass, oldest first, before its ``tick``."""
        self._state_ns = states[-1].stamp_ns
        for state in states:
            if state.command_age_ns is not None:
                self.durations.command_age.add(state.command_age_ns)

    def accepted(self, chunk: ActionChunk, now_ns: int) -> None:
        """The plan that is followed from the pass at ``now_ns`` on."""
        self.durations.capture_to_chunk.add(now_ns - chunk.t0_ns)
        self._plan_ns = chunk.t0_ns
        self._sent_ns = chunk.sent_ns or now_ns

    def tick(self, tick: Tick) -> None:
        """Count one pass."""
        now_ns, durations = tick.now_ns, self.durations
        self.ticks += 1
        durations.lateness.add(tick.late_ns)
        durations.tick.add(tick.compute_ns)
        if self._state_ns is not None:
            durations.state_age.add(now_ns - self._state_ns)
        if tick.wanted is not None:
            durations.plan_age.add(now_ns - self._plan_ns)
        if tick.interventions:
            self.interventions.update(tick.interventions)
        if tick.mode == _HOLDING:
            self.starved_ticks += 1
        if tick.command is not None:
            if self._sent_ns is not None and tick.wanted is not None and tick.mode in _FOLLOWING:
                durations.chunk_to_use.add(now_ns + tick.compute_ns - self._sent_ns)
                self._sent_ns = None
            if self.first_command_ns is None:
                self.first_command_ns = now_ns + tick.compute_ns

    def clear(self) -> None:
        """Count from zero again; the newest state and the plan that is followed stay known."""
        self.ticks = self.starved_ticks = self.overruns = self.chunks_used = 0
        for _, histogram in self.durations.named():
            histogram.clear()
        for counter in (self.chunks_refused, self.interventions, self.mode_ns):
            counter.clear()

    def end(self, rate: Rate, mode_ns: Counter[str], scheduler: Scheduler) -> None:
        """Take over what the parts counted during the run."""
        self.overruns = rate.overruns
        self.mode_ns = mode_ns
        self.chunks_used = scheduler.used
        self.chunks_refused = scheduler.refused

    def interventions_by_rule(self) -> dict[str, int]:
        """How many joint commands each rule changed."""
        return {rule: sum(joints.values()) for rule, joints in self.interventions_by_joint().items()}

    def interventions_by_joint(self) -> dict[str, dict[str, int]]:
        """How many commands each rule changed of each joint."""
        found: dict[str, dict[str, int]] = {}
        for intervention, count in self.interventions.items():
            found.setdefault(intervention.rule, {})[intervention.joint] = count
        return found

    def merge(self, other: LoopMetrics) -> None:
        """Add what another run counted."""
        self.ticks += other.ticks
        self.starved_ticks += other.starved_ticks
        self.overruns += other.overruns
        self.chunks_used += other.chunks_used
        for (_, mine), (_, theirs) in zip(self.durations.named(), other.durations.named(), strict=True):
            mine.merge(theirs)
        self.chunks_refused += other.chunks_refused
        self.interventions += other.interventions
        self.mode_ns += other.mode_ns
