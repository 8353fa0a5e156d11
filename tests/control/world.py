"""A robot, a planner and a recorder that only remember, and a loop around them in virtual time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.health import LoopSettings
from vla_runtime.control.loop import ControlLoop, Parts
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.core.errors import DeviceLost
from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import ActionChunk, PlannerStatus, PlanRequest, RobotState, Tick

from .envelope import excess, worst

MS = 1_000_000
PERIOD = 5 * MS
DT, H, HASH = 20 * MS, 8, "cafe"
JOINTS = ("base", "elbow")
LOW, HIGH, VELOCITY, TOLERANCE = (-1.0, -2.0), (1.0, 2.0), (1.0, 4.0), (0.5, 0.25)
"""Rooms of 0.005 and 0.02 a tick."""
ACCELERATION, JERK = (8.0, 30.0), (200.0, 900.0)

Answer = Callable[[PlanRequest], Sequence[tuple[int, ActionChunk]]]


def rows(*first: float, rise: float = 0.0) -> np.ndarray:
    """H rows that begin at ``first`` and rise by ``rise`` a row."""
    return (np.array(first) + rise * np.arange(H)[:, None]).astype(np.float32)


def chunk(request: PlanRequest, actions: np.ndarray, **changes) -> ActionChunk:
    fields = {"t0_ns": request.stamp_ns, "dt_ns": DT, "seq": request.seq, "request_seq": request.seq}
    return ActionChunk(actions, **({"policy_hash": HASH} | fields | changes))


def constant(*first: float, rise: float = 0.0, delay_ns: int = 0) -> Answer:
    """A planner that always wants the same."""
    return lambda request: [(delay_ns, chunk(request, rows(*first, rise=rise)))]


def silent(request: PlanRequest) -> Sequence[tuple[int, ActionChunk]]:
    return []


@dataclass
class Robot:
    """Measures ``position``, which is the last command's unless ``stuck``. ``silent_from_ns`` and ``lost_at_ns``:
    when it measures nothing any more, or gives up."""

    position: tuple[float, ...] = (0.0, 0.0)
    stuck: bool = False
    silent_from_ns: float = math.inf
    lost_at_ns: float = math.inf
    writes: list[tuple[int, tuple[float, ...]]] = field(default_factory=list)
    stops: list[StopCategory] = field(default_factory=list)
    reads: int = 0

    def reset(self, episode: int, seed: int, instruction: str) -> None: ...

    def read(self, now_ns: int) -> Sequence[RobotState]:
        self.reads += 1
        if now_ns >= self.lost_at_ns:
            raise DeviceLost("the arm gave up")
        if now_ns >= self.silent_from_ns:
            return []
        return [RobotState(np.array(self.position), None, now_ns, self.reads)]

    def write(self, command, now_ns: int) -> None:
        self.writes.append((now_ns, tuple(command.tolist())))
        if not self.stuck:
            self.position = self.writes[-1][1]

    def stop(self, category: StopCategory) -> None:
        self.stops.append(category)

    def close(self) -> None: ...


class Planner:
    """Gives each request the chunks of ``answer``, each after its delay."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[PlanRequest] = []
        self._coming: list[tuple[int, ActionChunk]] = []

    def request(self, request: PlanRequest) -> None:
        self.requests.append(request)
        self._coming += [(request.stamp_ns + delay, chunk) for delay, chunk in self.answer(request)]

    def poll(self, now_ns: int) -> Sequence[ActionChunk]:
        here = [chunk for due, chunk in self._coming if due <= now_ns]
        self._coming = [(due, chunk) for due, chunk in self._coming if due > now_ns]
        return here

    def status(self, now_ns: int) -> PlannerStatus:
        return PlannerStatus(up=True)

    def close(self) -> None: ...


class Recorder:
    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.refusals: list[str] = []
        self.seen: list[tuple[int, int]] = []
        self.asked: list[tuple[int, int]] = []

    def states(self, tick: int, states: Sequence[RobotState]) -> None:
        self.seen += [(tick, state.seq) for state in states]

    def request(self, tick: int, request: PlanRequest) -> None:
        self.asked.append((tick, request.seq))

    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None:
        self.refusals.append(refusal)

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)


class World:
    """One loop with its surroundings.

    ``stops``: at which instant what asks the run to end. ``smooth``: acceleration and jerk are limited too.
    """

    def __init__(
        self,
        answer: Answer = silent,
        robot: Robot | None = None,
        stops: dict[int, Stop] | None = None,
        *,
        clock: VirtualClock | None = None,
        tolerance: Sequence[float] = TOLERANCE,
        most_ticks: int = 4_000,
        smooth: bool = False,
        history_ns: int = 0,
        **scheduling,
    ) -> None:
        self.clock = clock or VirtualClock(1_000 * MS)
        self.start = self.clock.now()
        self.robot, self.planner, self.recorder = robot or Robot(), Planner(answer), Recorder()
        self._stops = dict(sorted((stops or {}).items()))
        self._most_ticks = most_ticks
        more = (np.array(ACCELERATION), np.array(JERK)) if smooth else ()
        limits = JointLimits(JOINTS, np.array(LOW), np.array(HIGH), np.array(VELOCITY), *more)
        self.settings = LoopSettings(
            PERIOD, limits, np.array(tolerance), 100 * MS, 500 * MS, 50 * MS, history_ns=history_ns
        )
        fields = {"joints": JOINTS, "chunk_length": H, "dt_ns": DT, "policy_hash": HASH, "start_ns": self.start}
        self.scheduler = Scheduler(**(fields | {"answer_timeout_ns": 100 * MS} | scheduling))
        parts = Parts(
            self.clock,
            self.robot,
            self.planner,
            self.scheduler,
            default_chain(limits, PERIOD),
            self.recorder,
            self.stop,
        )
        self.loop = ControlLoop(parts, self.settings, "go", self.start, episode=3)

    def stop(self) -> Stop | None:
        assert len(self.recorder.ticks) < self._most_ticks, "the run does not end"
        due = [at for at in self._stops if self.start + at <= self.clock.now()]
        return self._stops.pop(due[0]) if due else None

    def run(self) -> Cause:
        return self.loop.run()

    @property
    def ticks(self) -> list[Tick]:
        return self.recorder.ticks

    @property
    def commands(self) -> list[tuple[float, ...]]:
        return [command for _, command in self.robot.writes]

    def modes(self) -> list[str]:
        """The modes in order, repetitions left out."""
        found = [tick.mode for tick in self.ticks]
        return [mode for mode, before in zip(found, ["", *found[:-1]], strict=True) if mode != before]

    def after(self, ms: float) -> Tick:
        """The tick at ``ms`` after the start."""
        return next(tick for tick in self.ticks if tick.now_ns == self.start + round(ms * MS))


def assert_sent_only_what_may_be_sent(
    commands: Sequence[Sequence[float]], pose: Sequence[float], smooth: bool = False
) -> None:
    """Knows only the limits, and where the robot was measured at the start."""
    if commands:
        more = (ACCELERATION, JERK) if smooth else ()
        assert not worst(excess(commands, pose, PERIOD / 1e9, LOW, HIGH, VELOCITY, *more))
