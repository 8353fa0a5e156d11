"""The whole control loop in virtual time, with everything around it misbehaving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.soak.wishes import HARD, Wish, draw_limits, draw_period_ns, draw_wish
from vla_runtime.control.cause import Stop
from vla_runtime.control.clock import VirtualClock
from vla_runtime.control.health import LoopSettings
from vla_runtime.control.interpolation import INTERPOLATIONS
from vla_runtime.control.loop import ControlLoop
from vla_runtime.control.parts import Parts
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.control.scheduler import Scheduler
from vla_runtime.control.strategies import Blend, Ensemble, Latest, Strategy
from vla_runtime.core.protocols import StopCategory
from vla_runtime.core.types import F64, ActionChunk, PlannerStatus, PlanRequest, RobotState, Tick

__all__ = ["Ran", "run_loop"]

_ROWS, _HASH = 8, "soak"


@dataclass
class Ran:
    """What one episode sent, f64[N, D], from ``pose`` on."""

    limits: JointLimits
    period_s: float
    pose: F64
    sent: list[F64] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    interventions: int = 0


class _Clock(VirtualClock):
    """Wakes up late now and then, by anything up to several periods, never past the gap that is a fault."""

    def __init__(self, rng: np.random.Generator, period_ns: int) -> None:
        super().__init__(10**9)
        late = rng.choice([0, 0, 0, 0.05, 0.5, 0.99, 1.5, 4.0], 512) * rng.uniform(0, 1, 512) * period_ns
        self._late, self._sleeps = late.astype(int).tolist(), 0

    def sleep_until(self, deadline_ns: int) -> None:
        self._sleeps += 1
        super().sleep_until(deadline_ns + self._late[self._sleeps % 512])


class _Robot:
    """Follows at once, or is blocked, or is pushed, or measures nothing for a tick."""

    def __init__(self, ran: Ran, rng: np.random.Generator) -> None:
        self._ran, self._rng, self._seq = ran, rng, 0
        self._what = rng.choice(["well", "well", "well", "blocked", "pushed"])

    def reset(self, episode: int, seed: int, instruction: str) -> None: ...

    def read(self, now_ns: int) -> Sequence[RobotState]:
        ran, rng = self._ran, self._rng
        self._seq += 1
        if self._seq % 97 == 0:
            self._what = rng.choice(["well", "well", "well", "blocked", "pushed"])
        position = ran.sent[-1] if ran.sent and self._what != "blocked" else ran.pose
        if self._what == "pushed" and ran.sent:
            position = position + rng.normal(size=len(position)) * 0.1 * (ran.limits.high - ran.limits.low)
        silent = self._seq > 1 and self._seq % 7 == 0
        return [] if silent else [RobotState(position, None, now_ns, self._seq)]

    def write(self, command: F64, now_ns: int) -> None:
        self._ran.sent.append(command)

    def stop(self, category: StopCategory) -> None: ...
    def close(self) -> None: ...


class _Planner:
    """Answers late, twice, never, wrongly, or not being there at all."""

    def __init__(self, ran: Ran, rng: np.random.Generator, dt_ns: int) -> None:
        self._ran, self._rng, self._dt_ns = ran, rng, dt_ns
        self._coming: list[tuple[int, ActionChunk]] = []
        self._wish: Wish | None = None
        self._down_until_ns = 0

    def request(self, request: PlanRequest) -> None:
        rng, ran = self._rng, self._ran
        if self._wish is None or rng.random() < 0.1:
            self._wish = draw_wish(rng, ran.limits, self._dt_ns * 1e-9)
        if not ran.modes["running"] and rng.random() < 0.8:  # let it begin: it aligns with something that rests
            self._wish = lambda row, command: command
        if rng.random() < 0.05:
            return
        command = ran.sent[-1] if ran.sent else ran.pose
        offset = int(rng.integers(1000))
        with np.errstate(over="ignore", invalid="ignore"):
            actions = np.array([self._wish(offset + row, command) for row in range(_ROWS)]).astype(np.float32)
        if rng.random() < 0.05:
            actions[rng.integers(_ROWS), 0] = rng.choice(HARD[:3])
        if rng.random() < 0.02:
            actions = actions[1:]
        policy = _HASH if rng.random() > 0.02 else "another"
        t0_ns = request.stamp_ns - int(rng.integers(0, 3 * self._dt_ns))
        delay = int(rng.integers(0, 12)) if rng.random() < 0.5 else None
        chunk = ActionChunk(actions, t0_ns, self._dt_ns, request.seq, request.seq, policy, delay=delay)
        delay_ns = int(rng.choice([0, 1, 2, 9])) * self._dt_ns
        self._coming += [(request.stamp_ns + delay_ns, chunk)] * int(rng.choice([1, 1, 1, 2]))
        if rng.random() < 0.01:
            self._down_until_ns = request.stamp_ns + 20 * self._dt_ns

    def poll(self, now_ns: int) -> Sequence[ActionChunk]:
        here = [chunk for due_ns, chunk in self._coming if due_ns <= now_ns]
        self._coming = [(due_ns, chunk) for due_ns, chunk in self._coming if due_ns > now_ns]
        return here

    def status(self, now_ns: int) -> PlannerStatus:
        return PlannerStatus(now_ns >= self._down_until_ns)

    def close(self) -> None: ...


class _Count:
    def __init__(self, ran: Ran) -> None:
        self._ran = ran

    def states(self, tick: int, states: Sequence[RobotState]) -> None: ...
    def request(self, tick: int, request: PlanRequest) -> None: ...
    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None: ...

    def tick(self, tick: Tick) -> None:
        self._ran.modes[tick.mode] += 1
        self._ran.interventions += len(tick.interventions)


def _strategy(rng: np.random.Generator, dt_ns: int) -> Strategy:
    kinds: list[Strategy] = [Latest(), Blend(float(rng.uniform(0.1, 12)), dt_ns), Ensemble(float(rng.uniform(0, 1)))]
    return kinds[rng.integers(len(kinds))]


def run_loop(rng: np.random.Generator, ticks: int) -> Ran:
    """An episode of about ``ticks`` ticks; at its end a stop is asked for."""
    period_ns = draw_period_ns(rng)
    limits = draw_limits(rng, int(rng.integers(1, 8)))
    ran = Ran(limits, period_ns * 1e-9, rng.uniform(limits.low, limits.high))
    clock = _Clock(rng, period_ns)
    dt_ns = period_ns * int(rng.integers(1, 8))
    end_ns, start_ns = clock.now() + ticks * period_ns, clock.now()
    scheduler = Scheduler(
        joints=limits.joints, chunk_length=_ROWS, dt_ns=dt_ns, policy_hash=_HASH, start_ns=start_ns,
        replan_interval=int(rng.integers(1, _ROWS + 1)), answer_timeout_ns=12 * dt_ns, strategy=_strategy(rng, dt_ns),
        interpolation=rng.choice(INTERPOLATIONS, len(limits.joints)).tolist(), lead_ns=int(rng.choice([0, 0, dt_ns])),
    )  # fmt: skip
    parts = Parts(
        clock, _Robot(ran, rng), _Planner(ran, rng, dt_ns), scheduler, default_chain(limits, period_ns), _Count(ran),
        lambda: Stop("done", "enough") if clock.now() >= end_ns else None,
    )  # fmt: skip
    anywhere = np.full(len(limits.joints), 1e300)
    patience = LoopSettings(period_ns, limits, anywhere, 10**12, 10**12, 20 * period_ns, 10 * period_ns)
    loop = ControlLoop(parts, patience, "go", start_ns)
    loop.run()
    return ran
