"""A log as clock, robot and planner: the loop sees again, pass by pass, what it saw then."""

from __future__ import annotations

from collections.abc import Sequence

from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import F64, ActionChunk, PlannerStatus, PlanRequest, RobotState, Tick
from vla_runtime.episode.reader import Episode

__all__ = ["ReplayPlanner", "ReplayRobot", "Tape", "TickCatcher"]


class Tape:
    """Where the replay stands; it is also the clock, which shows what the loop's clock showed."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.tick: Tick = episode.ticks[0]

    def now(self) -> int:
        return self.tick.now_ns

    def sleep_until(self, deadline_ns: int) -> None:
        """The tape is wound by whoever replays it, tick by tick."""


class ReplayRobot:
    """Measures what was measured; commands go nowhere."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def reset(self, episode: int, seed: int, instruction: str) -> None:
        """The log begins after the reset."""

    def read(self, now_ns: int) -> Sequence[RobotState]:
        return self._tape.episode.states_by_tick.get(self._tape.tick.index, ())

    def write(self, command: F64, now_ns: int) -> None:
        """What would have been sent is compared in the tick."""

    def stop(self, category: StopCategory) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Nothing to release."""


class ReplayPlanner:
    """Answers what was answered, when it was."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def request(self, request: PlanRequest) -> None:
        """The answer is on the tape."""

    def poll(self, now_ns: int) -> Sequence[ActionChunk]:
        return [chunk for chunk, _ in self._tape.episode.chunks_by_tick.get(self._tape.tick.index, ())]

    def status(self, now_ns: int) -> PlannerStatus:
        return self._tape.tick.planner

    def close(self) -> None:
        """Nothing to release."""


class TickCatcher:
    """A recorder that keeps the last tick, and the requests and the refusals of chunks since they were cleared."""

    def __init__(self) -> None:
        self.last: Tick | None = None
        self.refusals: list[str] = []
        self.requests: list[PlanRequest] = []

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        """Inputs: they are the tape's."""

    def request(self, tick: int, request: PlanRequest) -> None:
        self.requests.append(request)

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        self.refusals.append(refusal)

    def tick(self, tick: Tick) -> None:
        self.last = tick
