"""Which row of which chunk belongs to now, and when to ask for the next one.

Chunks are scheduled by *capture time*: row i is meant for t0 + i dt, where t0 is the capture stamp of the
observation. Rows already past when a chunk arrives are dropped by that rule alone, whatever the delay was.

H = chunk length, dt = policy step, s = ``replan_interval`` (steps executed from each chunk), d = delay in steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vla_runtime.control.delay import DelayEstimate
from vla_runtime.control.interpolation import Trajectory
from vla_runtime.core.types import F64, ActionChunk

__all__ = ["Scheduler"]


class Scheduler:
    """Holds the newest valid chunk of one episode.

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
        self._chunk: ActionChunk | None = None
        self._trajectory: Trajectory | None = None
        self._takeover_ns = 0
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
    def chunk(self) -> ActionChunk | None:
        """The chunk in use."""
        return self._chunk

    @property
    def chunk_seq(self) -> int:
        """The chunk in use, -1 while there is none."""
        return -1 if self._chunk is None else self._chunk.seq

    @property
    def next_seq(self) -> int:
        """The number that the next request will have."""
        return self._last_request_seq + 1

    def wants_plan(self, now_ns: int) -> bool:
        """True when a request sent now will be answered when s steps of this chunk have been executed, or later."""
        if self._waiting_since_ns is not None:
            return now_ns - self._waiting_since_ns >= self._answer_timeout_ns
        if self._chunk is None:
            return True
        end_ns = self._chunk.t0_ns + self._reach_ns
        next_takeover_ns = min(self._takeover_ns + self._steps_ns, end_ns)
        return now_ns >= next_takeover_ns - self._delay.at(now_ns)

    def takeover_at(self, now_ns: int) -> int:
        """When the answer to a request sent now is expected to take over."""
        return now_ns + self._delay.at(now_ns)

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
            self.refused[reason.partition(":")[0]] += 1
        else:
            self._chunk, self._trajectory = chunk, Trajectory(chunk.actions, self._dt_ns)
            self._takeover_ns = max(now_ns, chunk.t0_ns)
            self._delay.add(now_ns - self._sent[chunk.request_seq], now_ns)
            self.used += 1
            self._sent = {seq: sent for seq, sent in self._sent.items() if seq > chunk.request_seq}
        if chunk.request_seq == self._last_request_seq:
            self._waiting_since_ns = None
        return reason

    def drop(self) -> None:
        """Forget the plan and any open request: whoever made it can no longer see."""
        self._chunk = self._trajectory = None
        self._sent.clear()
        self._waiting_since_ns = None

    def action_at(self, now_ns: int) -> F64 | None:
        """The action f64[A] for this instant, or None when no row covers it."""
        if self._chunk is None or self._trajectory is None:
            return None
        elapsed_ns = now_ns - self._chunk.t0_ns
        if not 0 <= elapsed_ns < self._reach_ns:
            return None
        self.covered_ns = now_ns
        return self._trajectory.at(elapsed_ns)

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
        if now_ns >= chunk.t0_ns + self._reach_ns:
            age, reach = (now_ns - chunk.t0_ns) / 1e6, self._reach_ns / 1e6
            return f"past: captured {age:.1f} ms ago, no row is followed after {reach:.1f} ms"
        return ""
