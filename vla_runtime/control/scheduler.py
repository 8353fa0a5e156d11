"""Which row of which chunk belongs to now, and when to ask for the next one.

Chunks are scheduled by *capture time*: row i is meant for t0 + i dt, where t0 is the capture stamp of the
observation. Rows already past when a chunk arrives are dropped by that rule alone, whatever the delay was. With an
actuation lead l every row is sent l before its time. Where chunks overlap, the strategy makes one motion of them.

H = chunk length, dt = policy step, s = ``replan_interval`` (steps executed from each chunk), d = delay in steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vla_runtime.control.delay import DelayEstimate
from vla_runtime.control.interpolation import Trajectory
from vla_runtime.control.strategies import Latest, Plan, Plans, Strategy
from vla_runtime.core.choice import Interpolation
from vla_runtime.core.types import F64, ActionChunk

__all__ = ["Scheduler"]


class Scheduler:
    """Holds the valid chunks of one episode that still count.

    Args:
        joints: names of the action dimensions, for messages.
        chunk_length: H.
        dt_ns: dt.
        policy_hash: chunks of any other policy are refused.
        replan_interval: s, with the meaning of torchrl's MultiStepActorWrapper: 1 is closed loop, 1 < s < H
            receding horizon, None (or H) open loop.
        answer_timeout_ns: an unanswered request is repeated after this long.
        max_age_ns: a chunk captured longer ago than this is not followed, though it may have rows left; None for no
            such limit.
        start_ns: when the episode began. ``covered_ns`` counts from there: the last instant that a row covered.
        first_request: the first request's number. Continue it over episodes, and no late answer is taken for another.
        strategy: how overlapping chunks become one motion.
        interpolation: how each joint gets from row to row, in the order of ``joints``; left out, linear.
        lead_ns: actuation lead: what is sent now is meant for so much later.
    """

    def __init__(
        self,
        *,
        joints: Sequence[str],
        chunk_length: int,
        dt_ns: int,
        policy_hash: str,
        replan_interval: int | None = None,
        answer_timeout_ns: int = 1_000_000_000,
        max_age_ns: int | None = None,
        start_ns: int = 0,
        first_request: int = 0,
        strategy: Strategy | None = None,
        interpolation: Sequence[Interpolation] = (),
        lead_ns: int = 0,
    ) -> None:
        steps = chunk_length if replan_interval is None else replan_interval
        if not 1 <= steps <= chunk_length:
            raise ValueError(f"replan_interval is {steps}, expected 1 to the chunk length {chunk_length}, or none")
        self._joints = tuple(joints)
        self._shape = (chunk_length, len(self._joints))
        self._dt_ns = dt_ns
        self._steps_ns = steps * dt_ns
        rows_ns = chunk_length * dt_ns
        self._reach_ns = rows_ns if max_age_ns is None else min(rows_ns, max_age_ns)
        self._policy_hash = policy_hash
        self._answer_timeout_ns = answer_timeout_ns
        self._strategy = strategy or Latest()
        self._interpolation = tuple(interpolation)
        self._lead_ns = lead_ns
        self._plans: Plans = ()
        self._delay = DelayEstimate()
        self._sent: dict[int, int] = {}
        self._last_request_seq = first_request - 1
        self._waiting_since_ns: int | None = None
        self.covered_ns = start_ns
        self.used = 0
        self.refused: Counter[str] = Counter()

    @property
    def grid(self) -> tuple[int, int]:
        """Chunk length and policy step in ns."""
        return self._shape[0], self._dt_ns

    @property
    def plan(self) -> Plan | None:
        """The newest chunk in use, on the clock."""
        return self._plans[-1] if self._plans else None

    @property
    def chunk_seq(self) -> int:
        """The newest chunk in use, -1 while there is none."""
        return self._plans[-1].chunk.seq if self._plans else -1

    @property
    def next_seq(self) -> int:
        """The number that the next request will have."""
        return self._last_request_seq + 1

    def wants_plan(self, now_ns: int) -> bool:
        """True when a request sent now will be answered when s steps of this chunk have been executed, or later."""
        if self._waiting_since_ns is not None:
            return now_ns - self._waiting_since_ns >= self._answer_timeout_ns
        if not self._plans:
            return True
        newest = self._plans[-1]
        return now_ns + self._delay.at(now_ns) >= min(newest.takeover_ns + self._steps_ns, newest.end_ns)

    def takeover_at(self, now_ns: int) -> int:
        """What instant the first command is for that follows the answer to a request sent now, as far as is known."""
        return now_ns + self._delay.at(now_ns) + self._lead_ns

    def next_request(self, now_ns: int) -> int:
        """Note that a request is sent now and return its sequence number."""
        self._last_request_seq += 1
        self._sent[self._last_request_seq] = now_ns
        self._waiting_since_ns = now_ns
        return self._last_request_seq

    def accept(self, chunk: ActionChunk, now_ns: int) -> str:
        """Take ``chunk`` over, or refuse all of it. Returns the reason of the refusal, "" if it was accepted."""
        reason = self._refusal(chunk, now_ns)
        if reason:
            kind = reason.partition(":")[0]
            self.refused[kind] += 1
            if kind == "delay":  # else the next one would be conditioned on as short a delay
                self._delay.add(now_ns - self._sent[chunk.request_seq], now_ns)
        else:
            self._plans = self._strategy.follow(self._plans, self._plan(chunk, now_ns))
            self._delay.add(now_ns - self._sent[chunk.request_seq], now_ns)
            self.used += 1
            self._sent = {seq: sent for seq, sent in self._sent.items() if seq > chunk.request_seq}
        if chunk.request_seq == self._last_request_seq:
            self._waiting_since_ns = None
        return reason

    def drop(self) -> None:
        """Forget the plan and any open request: whoever made it can no longer see."""
        self._plans = ()
        self._sent.clear()
        self._waiting_since_ns = None

    def action_at(self, now_ns: int) -> F64 | None:
        """The action f64[A] for this instant, or None when no row covers it."""
        plans = self._plans
        if not plans or not plans[-1].begin_ns <= now_ns < plans[-1].end_ns:
            return None
        self.covered_ns = now_ns
        return np.array(self._strategy.at(plans, now_ns))

    def path_at(self, instant_ns: int) -> list[float]:
        """Where the plans lead at an instant to come, if nothing new comes. There must be one. Not the caller's."""
        return self._strategy.at(self._plans, instant_ns)

    def coast_at(self, now_ns: int) -> F64 | None:
        """Where the plan that ran out goes on its way to rest, f64[A]; None without a plan, or one that would stay."""
        if not self._plans or not self._strategy.coast_rows or now_ns < self._plans[-1].end_ns:
            return None
        return np.array(self._strategy.at(self._plans, now_ns))

    def opening(self) -> F64 | None:
        """The newest plan's row 0, f64[A]: what the policy answers to the pose that it was shown."""
        return self._plans[-1].chunk.actions[0].astype(np.float64) if self._plans else None

    def _plan(self, chunk: ActionChunk, now_ns: int) -> Plan:
        begin_ns = chunk.t0_ns - self._lead_ns
        rows = chunk.actions[: self._reach_ns // self._dt_ns + 2]  # and none that is too old to be followed
        trajectory = Trajectory(rows, self._dt_ns, self._interpolation, self._strategy.coast_rows)
        return Plan(chunk, trajectory, begin_ns, max(now_ns, begin_ns), begin_ns + self._reach_ns)

    def _refusal(self, chunk: ActionChunk, now_ns: int) -> str:
        """Why ``chunk`` cannot be used: ``kind: details``. Every comparison is written so that NaN cannot pass."""
        if chunk.policy_hash != self._policy_hash:
            return f"policy hash: {chunk.policy_hash!r}, expected {self._policy_hash!r}"
        if chunk.request_seq not in self._sent:
            return f"request: answers request {chunk.request_seq}, which was not sent or is superseded"
        if chunk.actions.shape != self._shape:
            return f"shape: {chunk.actions.shape}, expected {self._shape}"
        if chunk.dt_ns != self._dt_ns:
            return f"dt: {chunk.dt_ns} ns, expected {self._dt_ns} ns"
        if not np.isfinite(chunk.actions).all():
            row, column = np.argwhere(~np.isfinite(chunk.actions))[0]
            return f"not finite: row {row}, {self._joints[column]}"
        if chunk.t0_ns > now_ns:
            return f"future: captured {(chunk.t0_ns - now_ns) / 1e6:.1f} ms ahead of now"
        ahead_ns = now_ns + self._lead_ns - chunk.t0_ns  # the instant that a command of now is for, from row 0
        if ahead_ns >= self._reach_ns:
            age, reach = (now_ns - chunk.t0_ns) / 1e6, (self._reach_ns - self._lead_ns) / 1e6
            return f"past: captured {age:.1f} ms ago, no row is followed after {reach:.1f} ms"
        if chunk.delay is not None and ahead_ns > chunk.delay * self._dt_ns:
            passed = ahead_ns / self._dt_ns
            return f"delay: it continues {chunk.delay} rows of what was committed, {passed:.2f} have passed"
        return ""
