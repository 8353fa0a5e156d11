"""The control loop: the first file to read.

One pass reads the robot, asks for a plan when one is due, takes plans that came, decides the mode, turns the plan
into a command that may be sent, sends it and records the pass. Real, simulated and replayed runs are this loop with
other parts; nothing here asks which.
"""

from __future__ import annotations

from vla_runtime.control.cause import Cause, Stop
from vla_runtime.control.commander import Commander
from vla_runtime.control.committed import Committed
from vla_runtime.control.health import LoopSettings, Situation, health
from vla_runtime.control.history import StateHistory
from vla_runtime.control.machine import ModeMachine
from vla_runtime.control.metrics import LoopMetrics
from vla_runtime.control.mode import Mode
from vla_runtime.control.parts import Parts
from vla_runtime.control.rate import Rate
from vla_runtime.control.safety import Verdict
from vla_runtime.core.errors import DeviceLost
from vla_runtime.core.types import F64, PlannerStatus, PlanRequest, RobotState, Tick

__all__ = ["ControlLoop"]


class ControlLoop:
    """One episode, begun at ``start_ns``, from the robot's first state to the end of its motion."""

    def __init__(self, parts: Parts, settings: LoopSettings, instruction: str, start_ns: int, episode: int = 0) -> None:
        self.parts, self.settings, self.instruction, self.episode = parts, settings, instruction, episode
        self.metrics = LoopMetrics()
        self.mode = ModeMachine(start_ns)
        self.history = StateHistory(settings.history_ns)
        committed = Committed(settings.limits, *parts.scheduler.grid, settings.period_ns)
        self.commander = Commander(parts.safety, committed, start_ns)
        self.state: RobotState | None = None
        self._checked = False
        self._last_ns: int | None = None

    def run(self) -> Cause:
        """Tick on absolute deadlines until the run is over; returns why it ended."""
        clock = self.parts.clock
        rate = Rate(self.settings.period_ns, clock.now())
        while not self.mode.over:
            self.tick(rate.deadline_ns)
            clock.sleep_until(rate.next_deadline(clock.now()))
        self.metrics.end(rate, self.mode.spent_ns, self.parts.scheduler)
        return self.mode.cause

    def tick(self, deadline_ns: int) -> None:
        """One pass, meant to begin at ``deadline_ns``."""
        now = self.parts.clock.now()
        planner = self.parts.planner.status(now)
        stop = self._read(now)
        request_seq = self._request(now, planner)
        self._accept(now)
        wanted = self.parts.scheduler.action_at(now)
        self._decide(now, wanted, stop, planner)
        verdict = self._send(now, wanted)
        self._record(now, deadline_ns, stop, planner, request_seq, wanted, verdict)

    def _read(self, now: int) -> Stop | None:
        """Take the robot's new states; returns what asks the run to end."""
        try:
            states = self.parts.robot.read(now)
        except DeviceLost as lost:
            return Stop("fault", str(lost))
        if states:
            self.state = states[-1]
            self.metrics.states(states)
            for state in states:
                self.history.add(state)
            self.parts.recorder.states(self.metrics.ticks, states)
        return self.parts.stop()

    def _request(self, now: int, planner: PlannerStatus) -> int:
        """Ask for a plan when one is due; returns the request's number, -1 for none. A dead planner's plan is void."""
        if not planner.up:
            self.parts.scheduler.drop()
            return -1
        if self.state is None or not self.mode.plans or not self.parts.scheduler.wants_plan(now):
            return -1
        seq = self.parts.scheduler.next_request(now)
        scheduler = self.parts.scheduler
        committed = self.commander.committed.chunk(scheduler.plan, scheduler.path_at, now)
        continues = committed is not None and committed.end_ns > now
        takeover_ns = scheduler.takeover_at(now) if continues else 0
        request = PlanRequest(
            seq, now, self.state, self.instruction, self.episode, self.history.track(), committed, takeover_ns
        )
        self.parts.planner.request(request)
        self.parts.recorder.request(self.metrics.ticks, request)
        return request.seq

    def _accept(self, now: int) -> None:
        for chunk in self.parts.planner.poll(now):
            refusal = self.parts.scheduler.accept(chunk, now)
            if not refusal:
                self.metrics.accepted(chunk, now)
            self.parts.recorder.chunk(self.metrics.ticks, chunk, refusal)

    def _decide(self, now: int, wanted: F64 | None, stop: Stop | None, planner: PlannerStatus) -> None:
        """Let this tick's facts change the mode; a run that ends asks the robot to stop, once."""
        gap_ns = None if self._last_ns is None else now - self._last_ns
        self._last_ns = now
        still_ns = max(self.mode.entered_ns, self.commander.moved_ns)
        aligned = self.mode.mode is Mode.ALIGNING and self.commander.arrived
        # Row 0 answers the pose that was shown; a late plan's first executed row is as far on as it is late.
        opening = None if self._checked or wanted is None else self.parts.scheduler.opening()
        situation = Situation(now, gap_ns, self.mode.mode, still_ns, self.state, wanted,
                              self.parts.scheduler.covered_ns, opening, aligned, stop, planner)  # fmt: skip
        changed = self.mode.update(now, health(situation, self.settings))
        self._checked = self._checked or (wanted is not None and self.mode.moves)
        if changed and self.mode.over:
            self.parts.robot.stop(self.mode.stop_category(stop))

    def _send(self, now: int, wanted: F64 | None) -> Verdict | None:
        """Send what may be sent of ``wanted``; where no plan is followed, what brings the robot to rest."""
        if not self.mode.moves or self.state is None:
            return None
        if not self.mode.follows:
            wanted = self.parts.scheduler.coast_at(now) if self.mode.mode is Mode.HOLDING else None
        verdict = self.commander.next(wanted, self.state.position, now)
        self.parts.robot.write(verdict.command, now)
        return verdict

    def _record(self, now: int, deadline_ns: int, stop: Stop | None, planner: PlannerStatus, request_seq: int,
                wanted: F64 | None, verdict: Verdict | None) -> None:  # fmt: skip
        late_ns, compute_ns = now - deadline_ns, self.parts.clock.now() - now
        tick = Tick(
            index=self.metrics.ticks, now_ns=now, mode=self.mode.mode.value, cause=self.mode.cause.text,
            stop="" if stop is None else str(stop), state_seq=-1 if self.state is None else self.state.seq,
            planner=planner, request_seq=request_seq, chunk_seq=self.parts.scheduler.chunk_seq,
            wanted=None if wanted is None else tuple(wanted.tolist()),
            command=None if verdict is None else tuple(verdict.command.tolist()),
            interventions=() if verdict is None else verdict.interventions, late_ns=late_ns, compute_ns=compute_ns,
        )  # fmt: skip
        self.metrics.tick(tick)
        self.parts.recorder.tick(tick)
