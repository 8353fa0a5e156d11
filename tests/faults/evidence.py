"""All that is known of a run once it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_runtime.core.errors import LogError
from vla_runtime.core.types import Tick
from vla_runtime.episode.reader import Episode, read_episode

from ..control.envelope import excess, worst
from .run import Run
from .setting import ACCELERATION, HIGH, JERK, JOINTS, LOW, VELOCITY, Times
from .truth import COMMAND, Truth

__all__ = ["Evidence", "gather"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """``episode`` is None where there is no log that can be read."""

    times: Times
    episode: Episode | None
    truth: Truth
    report: dict[str, Any]
    exit_code: int | None
    left_behind: list[str]

    def ticks(self, after_ns: int, before_ns: int = 1 << 62) -> list[Tick]:
        """The logged ticks in between."""
        if self.episode is None:
            return []
        return [tick for tick in self.episode.ticks if after_ns < tick.now_ns < before_ns]

    def first(self, modes: set[str], after_ns: int) -> Tick | None:
        """The first tick after ``after_ns`` in one of ``modes``."""
        return next((tick for tick in self.ticks(after_ns) if tick.mode in modes), None)

    def refusals(self, after_ns: int, before_ns: int) -> set[str]:
        """Why chunks were refused in between: the words before the colon."""
        if self.episode is None:
            return set()
        inside = {tick.index for tick in self.ticks(after_ns, before_ns)}
        return {
            refusal.partition(":")[0]
            for index, chunks in self.episode.chunks_by_tick.items()
            if index in inside
            for _, refusal in chunks
            if refusal
        }

    def crimes(self) -> Iterator[tuple[int, str]]:
        """What must never be, whatever failed: when, and what."""
        yield from self.truth.faults(LOW, HIGH, VELOCITY, self.times.dead_man)
        sent = [tick for tick in self.ticks(0) if tick.command is not None]
        if not sent:
            return
        last_ns = sent[-1].now_ns
        commands = np.array([tick.command for tick in sent])
        assert self.episode is not None
        if not self.episode.missing_ticks():
            pose = self.episode.states_by_tick[min(self.episode.states_by_tick)][0].position
            every = np.ones(len(JOINTS))
            bounds = (LOW * every, HIGH * every, VELOCITY * every, ACCELERATION * every, JERK * every)
            if found := worst(excess(commands, pose, self.times.period, *bounds)):
                yield last_ns, f"a command exceeded {found}"
        yield from self._foreign({command.tobytes() for command in commands}, last_ns)

    def _foreign(self, known: set[bytes], last_ns: int) -> Iterator[tuple[int, str]]:
        """Commands that no tick has sent: the host's own, while it brakes, and none of a tick after them."""
        assert self.episode is not None
        cut = self.episode.truncated or bool(self.episode.missing_ticks())
        given = np.flatnonzero((self.truth.kind == COMMAND) & ((self.truth.ns < last_ns) | (not cut)))
        own = [i for i in given if self.truth.values[i].tobytes() not in known]
        if not own or self.episode.missing_ticks():
            return
        began_ns, ended_ns = int(self.truth.ns[own[0]]), int(self.truth.ns[own[-1]])
        braked_s = (ended_ns - began_ns) * 1e-9
        if braked_s > self.times.brake + self.times.margin:
            yield began_ns, f"the device was given commands that no tick has sent for {braked_s:.2f} s"
        if any(self.truth.values[i].tobytes() in known for i in given[given > own[0]]):
            yield began_ns, f"the device was given {self.truth.values[own[0]].tolist()}, which no tick has sent"


def gather(run: Run) -> Evidence:
    """The evidence of ``run``, which is over."""
    episode = None
    if run.log is not None:
        try:
            episode = read_episode(run.log)
        except LogError:
            episode = None
    return Evidence(run.times, episode, run.truth(), run.report, run.exit_code, run.left_behind)
