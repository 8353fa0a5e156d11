"""Executors without a policy file: how soon a command follows what the policy sees, and how true to time it is.

One joint, no physics, no camera, no limit that matters. The policy is shown what the device measures when the plan is
asked for, and answers at once; its chunk comes as late as the episode's latency says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np

from benchmarks.chunks.executors import Executor
from benchmarks.chunks.restart import Restart
from benchmarks.chunks.world import PERIOD_NS, ROWS, STEP_NS, Answer, OneJoint, Target, TrueTime, trial_config
from vla_runtime.app.simulate import Latency, Scenario, simulate
from vla_runtime.core.types import ActionChunk, PlanRequest, RobotState, Tick

__all__ = ["Kind", "Trial", "trial"]

Kind = Literal["react", "clock"]
_CLOCK_S, _CLOCK_FROM_S = 12.0, 2.0
_SETTLED = 0.05


class Trial(msgspec.Struct, frozen=True):
    """What one episode came to.

    ``react``: seconds from each step of the target until the command was half of the way there; null for a step that
    was overtaken by the next one, ``unsettled`` counts those before which the command had not yet come to the target.
    ``clock``: the command's distance from the true time at each tick, in control periods.
    """

    seed: int
    reactions_s: list[float | None]
    unsettled: int
    errors: list[float]
    starved_ticks: int
    chunks_refused: int


def trial(kind: Kind, executor: Executor, latency: Latency, seed: int) -> Trial:
    """One episode. A pure function of its arguments."""
    config = trial_config(executor)
    if kind == "react":
        signal: Target | TrueTime = Target(seed)
        seconds = signal.end_s
    else:
        signal, seconds = TrueTime(), _CLOCK_S
    watch = _Commands()
    device = OneJoint(signal)
    policy = Answer(lambda seen: np.full(ROWS, seen) if kind == "react" else seen + np.arange(ROWS) * STEP_NS * 1e-9)
    scenario = Scenario(seed, "follow", latency=latency, max_seconds=seconds)
    more: dict[str, Any] = {"between": Restart} if executor.restart else {}
    outcome = simulate(config, device, policy, scenario, watch=[watch], **more)
    reactions, unsettled = _reactions(signal, watch) if isinstance(signal, Target) else ([], 0)
    return Trial(
        seed=seed,
        reactions_s=reactions,
        unsettled=unsettled,
        errors=_errors(watch) if kind == "clock" else [],
        starved_ticks=outcome.metrics.starved_ticks,
        chunks_refused=sum(outcome.metrics.chunks_refused.values()),
    )


class _Commands:
    """A recorder: the instants and commands of a moving robot."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []
        self.values: list[float] = []

    def states(self, tick: int, states: Sequence[RobotState]) -> None: ...
    def request(self, tick: int, request: PlanRequest) -> None: ...
    def chunk(self, tick: int, chunk: ActionChunk, refusal: str) -> None: ...

    def tick(self, tick: Tick) -> None:
        if tick.command is not None and tick.mode != "stopping":
            self.at_ns.append(tick.now_ns)
            self.values.append(tick.command[0])


def _reactions(target: Target, watch: _Commands) -> tuple[list[float | None], int]:
    at_ns, values = np.array(watch.at_ns), np.array(watch.values)
    instants = [*target.instants_ns, at_ns[-1] + 1]
    found: list[float | None] = []
    unsettled = 0
    for begin, end in pairwise(instants):
        old, new = target(begin - 1), target(begin)
        before = values[at_ns < begin]
        if not len(before) or abs(before[-1] - old) > _SETTLED:
            unsettled += 1
            continue
        during = (at_ns >= begin) & (at_ns < end)
        there = np.flatnonzero(np.abs(values[during] - new) <= 0.5)
        found.append(float(at_ns[during][there[0]] - begin) * 1e-9 if len(there) else None)
    return found, unsettled


def _errors(watch: _Commands) -> list[float]:
    at_ns, values = np.array(watch.at_ns), np.array(watch.values)
    late = at_ns >= _CLOCK_FROM_S * 1e9
    errors: list[float] = (np.abs(values[late] - at_ns[late] * 1e-9) / (PERIOD_NS * 1e-9)).tolist()
    return errors
