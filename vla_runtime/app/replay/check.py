"""Re-execute the control loop on everything it saw, and compare every command bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_runtime.app.build import build_loop
from vla_runtime.app.replay.finding import Finding, distance, logged_config
from vla_runtime.control.cause import Stop
from vla_runtime.core.errors import LogError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import PlanRequest, Tick
from vla_runtime.episode.reader import Episode
from vla_runtime.episode.replay import ReplayPlanner, ReplayRobot, Tape, TickCatcher

__all__ = ["check_loop"]


def check_loop(episode: Episode) -> Finding:
    """Run the control loop again on everything it saw; every command must come out bit for bit.

    A log with ticks missing is compared up to the first gap, and is not identical.
    """
    if not episode.ticks:
        raise LogError(f"{episode.path} holds no whole tick: {episode.note}")
    metadata = episode.metadata
    tape, caught = Tape(episode), TickCatcher()
    loop = build_loop(
        logged_config(episode), PolicySpec.from_json(metadata["spec"]), policy_hash=metadata["policy_hash"],
        instruction=metadata["instruction"], start_ns=int(metadata["start_ns"]), clock=tape, robot=ReplayRobot(tape),
        planner=ReplayPlanner(tape), recorder=caught, stop=lambda: Stop.parse(tape.tick.stop),
        episode=int(metadata["episode"]), first_request=int(metadata["first_request"]),
    )  # fmt: skip
    finding = Finding()
    for expected_index, logged in enumerate(episode.ticks):
        if logged.index != expected_index:
            finding.differ(f"tick {expected_index} is not in the log: what follows it cannot be re-executed")
            break
        tape.tick = logged
        caught.refusals.clear()
        caught.requests.clear()
        loop.tick(logged.now_ns - logged.late_ns)
        assert caught.last is not None
        finding.compared += 1
        _compare_ticks(caught.last, logged, finding)
        refusals = [refusal for _, refusal in episode.chunks_by_tick.get(logged.index, ())]
        if refusals != caught.refusals:
            finding.differ(f"tick {logged.index}: chunks refused now {caught.refusals}, then {refusals}")
        asked = episode.requests_by_tick.get(logged.index, ())
        if list(map(_told, asked)) != [_told(mine, then) for mine, then in zip(caught.requests, asked, strict=False)]:
            finding.differ(f"tick {logged.index}: another plan was asked for than the log says")
    return finding


def _compare_ticks(now: Tick, then: Tick, finding: Finding) -> None:
    """All but the measured times."""
    for name in Tick.__dataclass_fields__:
        if name in ("late_ns", "compute_ns"):
            continue
        mine, logged = getattr(now, name), getattr(then, name)
        if name in ("wanted", "command"):
            if _bits(mine) != _bits(logged):
                finding.differ(f"tick {then.index}: {name} is {mine}, the log says {logged}", distance(mine, logged))
        elif mine != logged:
            finding.differ(f"tick {then.index}: {name} is {mine!r}, the log says {logged!r}")


def _told(request: PlanRequest, then: PlanRequest | None = None) -> tuple[object, ...]:
    """What ``request`` says that the planner does not know; of the takeover only what was logged ``then``."""
    committed = request.committed
    rows = () if committed is None else (committed.actions.tobytes(), committed.t0_ns, committed.dt_ns)
    takeover_ns = 0 if then is not None and not then.takeover_ns else request.takeover_ns
    return request.seq, request.stamp_ns, takeover_ns, *rows


def _bits(values: Sequence[float] | None) -> bytes | None:
    return None if values is None else np.array(values, dtype=np.float64).tobytes()
