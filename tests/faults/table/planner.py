"""The policy and its process: what they answer, when, and whether at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import psutil

from ..demands import Ends, Holds, Row, RunsOn, Trial
from ..evidence import Evidence
from ..run import Run
from ..setting import CHUNK_S, Setting, Times

__all__ = ["rows"]

_MEMORY = 300 << 20


def _policy(how: str) -> Callable[[Run], None]:
    return lambda run: run.misbehave(how)


def _refused(*reasons: str) -> Callable[[Trial, Evidence], str]:
    """One of them at least."""

    def check(trial: Trial, evidence: Evidence) -> str:
        found = evidence.refusals(trial.injected_ns, trial.over_ns)
        return "" if found & set(reasons) else f"chunks were refused for {sorted(found)}, expected {reasons}"

    return check


def _malformed(trial: Trial, evidence: Evidence) -> str:
    return "" if evidence.report["malformed"]["planner"] else "no message of the planner was counted as malformed"


def _hog(run: Run) -> None:
    run.planner.rlimit(psutil.RLIMIT_DATA, (_MEMORY, _MEMORY))
    run.misbehave("hog once")


def _swapped(run: Run) -> None:
    """Another file in the policy's place, then a planner that has to read it."""
    (run.folder / "circle.policy").write_text("another circle\n")
    run.planner.kill()


def _swapped_back(run: Run) -> None:
    (run.folder / "circle.policy").write_text("a circle\n")


def _no_descriptors(run: Run) -> None:
    """The run may open nothing more, and needs another planner."""
    control = run.control
    _, hard = control.rlimit(psutil.RLIMIT_NOFILE)
    control.rlimit(psutil.RLIMIT_NOFILE, (control.num_fds(), hard))
    run.planner.kill()


def _descriptors(run: Run) -> None:
    _, hard = run.control.rlimit(psutil.RLIMIT_NOFILE)
    run.control.rlimit(psutil.RLIMIT_NOFILE, (hard, hard))


def _swept(run: Run) -> None:
    """What cleaners of temporary folders do; then the run needs another planner."""
    for folder in run.folder.glob("vla-run-*"):
        shutil.rmtree(folder)
    run.planner.kill()


def rows(times: Times) -> list[Row]:
    local = Setting(apart=False)
    ending = Setting(apart=False, short_hold=True)
    margin = times.margin
    ran_out = CHUNK_S + margin
    soon = 2 * times.answer + margin
    seen_dead = 2 * times.period + margin
    good = _policy("")

    def answers(name: str, text: str, how: str, reason: str, quick: bool = False) -> Row:
        demand = Holds(ran_out, soon, times.brake)
        return Row(name, "policy", text, _policy(how), demand, local, good, quick, also=_refused(reason))

    ended = ran_out + times.short_hold + times.settle
    return [
        answers("chunk-nan", "chunks with a NaN", "nan", "not finite", quick=True),
        answers("chunk-infinite", "chunks with an infinity", "infinite", "not finite"),
        answers("chunk-rows", "chunks of 500 rows in place of 10", "rows", "shape"),
        answers("chunk-columns", "chunks with a joint missing", "columns", "shape", quick=True),
        Row("chunk-huge", "policy", "chunks of 1.2 million values", _policy("huge"),
            Holds(ran_out, soon, times.brake), local, good, also=_malformed),
        Row("chunk-past", "policy", "answers that come when all their rows are past", _policy("late"),
            Holds(ran_out, 0.65 + soon, times.brake), local, good, also=_refused("past", "request")),
        Row("chunk-far", "policy", "targets a million times out of reach", _policy("far"),
            RunsOn(1.5, 1.5, where="at rest at its limits"), local, good, quick=True),
        Row("chunk-jump", "policy", "each plan goes to the other side of the circle", _policy("jump"),
            RunsOn(times.dead_man, 1.0), local, good, quick=True),
        Row("policy-raises", "policy", "the policy raises, once", _policy("raise once"),
            Holds(times.answer + CHUNK_S + margin, times.planner_start + CHUNK_S, times.brake, "planner"), local,
            fresh=True),
        Row("policy-hogs", "policy", "the policy takes memory up to its process's limit", _hog,
            Holds(times.answer + ran_out, times.planner_start + 1.0 + CHUNK_S, times.brake), local),
        Row("policy-hangs", "policy", "the policy hangs, once", _policy("hang once"),
            Holds(times.answer + ran_out, times.hang + times.planner_start + CHUNK_S, times.brake), local, fresh=True,
            quick=True),
        Row("policy-crash-loop", "policy", "the policy crashes whenever it is asked", _policy("crash"),
            Ends("stopped", 3, "no valid plan.*planner", times.answer + ended, times.brake, 2), ending, good),
        Row("policy-swapped", "policy", "another policy file, and a planner that restarts with it", _swapped,
            Ends("stopped", 3, "no valid plan.*planner", seen_dead + times.short_hold + times.settle, times.brake, 2),
            ending, _swapped_back),
        Row("planner-no-descriptors", "policy", "the planner is killed while `vla-run` may open no files, for 1 s",
            _no_descriptors, Holds(seen_dead, 2 * times.planner_start, times.brake, "planner", lasts_s=1.0), local,
            _descriptors, fresh=True, quick=True),
        Row("run-directory-swept", "policy", "the run's temporary folder is deleted, and the planner killed", _swept,
            Ends("stopped", 3, "no valid plan.*planner", seen_dead + times.short_hold + times.settle, times.brake, 2),
            ending),
        Row("policy-swapped-back", "policy", "another policy file for a second, and a planner that restarts with it",
            _swapped, Holds(seen_dead, 2 * times.planner_start, times.brake, "planner", lasts_s=1.0), local,
            _swapped_back, fresh=True, also=_waited_for_its_policy),
    ]  # fmt: skip


def _waited_for_its_policy(trial: Trial, evidence: Evidence) -> str:
    assert evidence.episode is not None
    hashes = {
        chunk.policy_hash
        for chunks in evidence.episode.chunks_by_tick.values()
        for chunk, refusal in chunks
        if not refusal
    }
    return "" if len(hashes) == 1 else f"plans of {len(hashes)} policies were followed"
