"""Runs the cells that are not there yet. Interrupted, whole cells stay, and the next run goes on from there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

import msgspec

from benchmarks.chunks.cells import Cell, Store, jobs_of
from benchmarks.chunks.executors import TASK, Executor, executor, robot_config
from benchmarks.chunks.figures import figures
from vla_runtime.app.simulate import instructions_of, open_demonstrator, open_policy
from vla_runtime.app.simulate.pool import do_all, sigterm_interrupts
from vla_runtime.core.errors import Refusal

__all__ = ["available", "cells_of", "run"]

_WORK = "benchmarks.chunks.work"
_GUESS_S = {"track": 0.5, "react": 0.5, "clock": 0.1}
"""Of one core for one episode, until episodes of the kind were seen."""


def available(executors: Sequence[Executor], say: Callable[[str], None]) -> list[Executor]:
    """Those that this version can run; ``say`` is told why the others are left out."""
    found: list[Executor] = []
    texts: tuple[str, ...] = ()
    for one in executors:
        try:
            config = robot_config(one)
            if not texts:
                with closing(open_demonstrator(config)) as device:
                    texts = instructions_of(device, TASK)
            with closing(open_policy(config, texts)):
                found.append(one)
        except Refusal as error:
            say(f"left out: {one.name}: {error}")
    return found


def cells_of(
    kinds: Sequence[str],
    executors: Sequence[Executor],
    patterns: Sequence[str],
    delays: Sequence[int],
    episodes: dict[str, int],
    seed: int,
) -> list[Cell]:
    """All of them; without delay there is one pattern, and trials are for strategies alone."""
    return [
        Cell(kind, one.name, pattern, delay, episodes[kind], seed)  # type: ignore[arg-type]
        for kind in kinds
        for pattern in patterns
        for delay in delays
        for one in executors
        if (delay or pattern == "constant") and (kind == "track" or one.strategy)
    ]


def run(cells: Sequence[Cell], store: Store, workers: int, say: Callable[[str], None]) -> None:
    """Do what is missing.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM. No process is left; whole cells stay.
    """
    waiting = [cell for cell in cells if not store.has(cell, executor(cell.executor))]
    say(f"{len(cells)} cells, {len(cells) - len(waiting)} of them there already")
    jobs = [(cell, job) for cell in waiting for job in jobs_of(cell)]
    results: dict[Cell, dict[int, bytes]] = {cell: {} for cell in waiting}
    clock = _Remaining(Counter(cell.kind for cell, _ in jobs), workers)
    finished = len(cells) - len(waiting)

    def done(index: int, result: bytes) -> None:
        nonlocal finished
        cell, job = jobs[index]
        results[cell][job.index] = result
        clock.add(cell.kind)
        if len(results[cell]) == cell.episodes:
            own = results.pop(cell)
            found = figures(cell.kind, [own[i] for i in range(cell.episodes)])
            store.write(cell, executor(cell.executor), found)
            finished += 1
            say(f"{finished} of {len(cells)} cells, {clock.left()} left; {cell.name}: {_gist(cell.kind, found)}")

    with sigterm_interrupts():
        do_all(_WORK, b"", [msgspec.json.encode(job) for _, job in jobs], workers, done)


class _Remaining:
    """An estimate of the time that is left, from how long episodes of each kind took so far."""

    def __init__(self, jobs: Counter[str], workers: int) -> None:
        self._jobs, self._workers = jobs, workers
        self._spent_s: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._last = time.monotonic()

    def add(self, kind: str) -> None:
        now = time.monotonic()
        self._spent_s[kind] += now - self._last  # type: ignore[assignment]
        self._done[kind] += 1
        self._last = now

    def left(self) -> str:
        seconds = 0.0
        for kind, count in self._jobs.items():
            done = self._done[kind]
            each_s = self._spent_s[kind] / done if done else _GUESS_S[kind] / self._workers
            seconds += (count - done) * each_s
        minutes = round(seconds / 60)
        return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _gist(kind: str, found: dict[str, object]) -> str:
    if kind == "track":
        return f"{found['successes']} of {found['episodes']}"
    if kind == "react":
        return f"median {_shown(found['median_s'])} s, p95 {_shown(found['p95_s'])} s"
    return f"p95 {_shown(found['p95_periods'])} periods"


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.3g}"
