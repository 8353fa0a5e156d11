"""Take a training to its end, so that nothing that happens on the way loses more than a little time."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vla_runtime.learn.checkpoint import save_checkpoint
from vla_runtime.learn.progress import Progress
from vla_runtime.learn.runs.directory import RunDirectory
from vla_runtime.learn.runs.logs import Logs
from vla_runtime.learn.runs.state import RunState, load_state, save_state
from vla_runtime.learn.runs.stopping import Stopping
from vla_runtime.learn.runs.training import Diverged, Training

__all__ = ["End", "RunOptions", "RunReport", "run"]

End = Literal["done", "target", "time", "interrupted"]
"""All steps done, the target score reached, the time over, or a signal came."""


@dataclass(frozen=True)
class RunOptions:
    """How a training is run.

    Args:
        out: the run directory.
        evaluate_every: steps; 0 for once, after the last. The last step is always evaluated.
        save_seconds: how long a kill may throw the run back; 0 saves after every step. An evaluation saves as well.
        quiet: no progress on standard error.
        target_score: stop at an evaluation that reaches it.
        resume: go on with the run in ``out``.
        max_seconds: stop after so long, of this process; the run can be resumed.
    """

    out: Path
    evaluate_every: int = 0
    save_seconds: float = 60.0
    quiet: bool = False
    target_score: float | None = None
    resume: bool = False
    max_seconds: float | None = None


@dataclass(frozen=True)
class RunReport:
    """How a run ended.

    ``steps`` done, ``resumed_from`` the step that this process began after, ``seconds`` of all its processes;
    ``evaluation`` the figures of the last evaluation; ``best`` is None before the first, and so are its step and score.
    """

    end: End
    steps: int
    resumed_from: int
    seconds: float
    evaluation: Mapping[str, float]
    best: Path | None
    best_step: int | None
    best_score: float | None
    last: Path

    def as_json(self) -> dict[str, Any]:
        """Plain data, the same names."""
        return {**vars(self), "evaluation": dict(self.evaluation), "best": self.best and str(self.best)} | {
            "last": str(self.last)
        }


def run(training: Training, options: RunOptions, recipe: Mapping[str, Any]) -> RunReport:
    """Do the training's steps, log and evaluate them, and keep the best checkpoint and a state to go on from.

    SIGINT and SIGTERM let the running step finish and save the state; the report then says ``interrupted``. However the
    process ends, resuming gives what a run in one piece would have given, to the last bit. ``recipe`` is what the
    training was made from, as plain data.

    Raises:
        ConfigError: the directory is in use, or of another recipe.
        PolicyFileError: a file cannot be written, or the state that is there cannot be read.
        Diverged: a figure is not finite. The state saved last stays.
    """
    place = RunDirectory(options.out)
    with ExitStack() as stack:
        stack.enter_context(place.used(recipe, resume=options.resume))
        stopping = Stopping()
        stack.enter_context(stopping.signals())
        state = RunState()
        if options.resume and place.state.exists():
            state, of_training = load_state(place.state)
            training.load_state_dict(of_training)
        logs = Logs(place, state.step)
        stack.callback(logs.close)
        show = Progress(training.steps, None if options.quiet else sys.stderr, done=state.step)
        stack.callback(show.close)
        return _Run(training, options, place, state, logs, stopping, show).to_its_end()


@dataclass
class _Run:
    training: Training
    options: RunOptions
    place: RunDirectory
    state: RunState
    logs: Logs
    stopping: Stopping
    show: Progress

    def __post_init__(self) -> None:
        self.begun = self.saved = time.monotonic()
        self.before = self.state.seconds
        self.first = self.state.step

    def to_its_end(self) -> RunReport:
        end = self.end()
        while end is None:
            self.step()
            end = self.end()
        self.save()
        save_checkpoint(self.training.checkpoint(), self.place.last)
        state, found = self.state, self.state.best_step > 0
        return RunReport(
            end=end,
            steps=state.step,
            resumed_from=self.first,
            seconds=state.seconds,
            evaluation=state.evaluation,
            best=self.place.best if found else None,
            best_step=state.best_step if found else None,
            best_score=state.best_score if found else None,
            last=self.place.last,
        )

    def end(self) -> End | None:
        """Why the run is over; None if it is not. Evaluates the step before, if it is one to evaluate."""
        options, step, steps = self.options, self.training.step_number, self.training.steps
        if self.stopping.asked:
            return "interrupted"
        every = options.evaluate_every
        if step > self.state.evaluated and (step >= steps or (every and step % every == 0)):
            self.evaluate(step)
            self.save()
        if options.target_score is not None and self.state.best_score >= options.target_score:
            return "target"
        if step >= steps:
            return "done"
        if options.max_seconds is not None and time.monotonic() - self.begun >= options.max_seconds:
            return "time"
        return None

    def step(self) -> None:
        figures = self.training.step()
        step = self.training.step_number
        _check_finite(figures, f"at step {step}")
        self.logs.step(step, self.seconds(), figures)
        self.show(figures)
        if time.monotonic() - self.saved >= self.options.save_seconds:
            self.save()

    def evaluate(self, step: int) -> None:
        figures = dict(self.training.evaluate())
        _check_finite(figures, f"in the evaluation after step {step}")
        self.state.evaluated, self.state.evaluation = step, figures
        if not figures:
            return
        self.logs.evaluation(step, self.seconds(), figures)
        if figures["score"] >= self.state.best_score:
            self.state.best_step, self.state.best_score = step, float(figures["score"])
            checkpoint = self.training.checkpoint()
            facts = {**checkpoint.training, "score": self.state.best_score}
            save_checkpoint(replace(checkpoint, training=facts), self.place.best)

    def save(self) -> None:
        self.logs.sync()
        self.state.step, self.state.seconds = self.training.step_number, self.seconds()
        save_state(self.place.state, self.state, self.training.state_dict())
        self.saved = time.monotonic()

    def seconds(self) -> float:
        """Since the run began, what was lost by a kill left out."""
        return self.before + time.monotonic() - self.begun


def _check_finite(figures: Mapping[str, float], when: str) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} became {value} {when}; the state that was saved last is kept")
