"""What a new chunk is to continue: the plan in use, on the new chunk's rows."""

from __future__ import annotations

import numpy as np

from vla_runtime.core.rtc import prefix_weights
from vla_runtime.core.types import F64, I64, CommittedChunk, Continuation, PlanRequest, RobotState

__all__ = ["committed_at", "continuation_at", "takeover_state"]


def continuation_at(stamp_ns: int, request: PlanRequest, rows: int, dt_ns: int) -> Continuation | None:
    """What a chunk of ``rows`` rows ``dt_ns`` apart, from ``stamp_ns`` on, is to continue; None where no plan is.

    Where the request does not say when its answer will take over, that is taken to be when it was sent.
    """
    committed = _in_use(request)
    if committed is None:
        return None
    prev_chunk = committed_at(committed, stamp_ns + np.arange(rows) * dt_ns).astype(np.float32)
    # Between two rows the robot is on its way to the later one: that one is held too, or its path would be cut there.
    delay = min(_steps(_takeover_ns(request) - stamp_ns, dt_ns) + 1, rows - 1)
    overlap = min(_steps(committed.end_ns - stamp_ns, dt_ns), rows)
    return Continuation(prev_chunk, delay, prefix_weights(rows, delay, overlap))


def committed_at(committed: CommittedChunk, stamps_ns: I64) -> F64:
    """What is committed for each of ``stamps_ns`` i64[N], f64[N, A]: linear between the rows, beyond them the first or
    the last.
    """
    rows = committed.actions.astype(np.float64)
    at = np.clip((stamps_ns - committed.t0_ns) / committed.dt_ns, 0, len(rows) - 1)
    row = np.minimum(at.astype(np.int64), max(0, len(rows) - 2))
    here, there = rows[row], rows[np.minimum(row + 1, len(rows) - 1)]
    between: F64 = here + (at - row)[:, None] * (there - here)
    return between


def takeover_state(request: PlanRequest, dt_ns: int) -> RobotState:
    """Where the joints are committed to be when the answer takes over, and how fast: over the step around it.

    What else the robot measures is the newest. Where no plan is in use, so is all of it.
    """
    newest, committed = request.state, _in_use(request)
    if committed is None:
        return newest
    stamp_ns, half_ns = _takeover_ns(request), max(1, dt_ns // 2)
    before, here, after = committed_at(committed, stamp_ns + np.array([-half_ns, 0, half_ns]))
    velocity = None if newest.velocity is None else (after - before) / (2 * half_ns * 1e-9)
    return RobotState(here, velocity, stamp_ns, -1, newest.extras)


def _in_use(request: PlanRequest) -> CommittedChunk | None:
    """What is committed, where a plan is in use."""
    committed = request.committed
    return None if committed is None or committed.end_ns <= request.stamp_ns else committed


def _takeover_ns(request: PlanRequest) -> int:
    return request.takeover_ns or request.stamp_ns


def _steps(span_ns: int, dt_ns: int) -> int:
    """How many rows begin within ``span_ns``, at least 0."""
    return max(0, -(-span_ns // dt_ns))
