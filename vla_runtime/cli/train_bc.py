"""``vla-train bc``: behaviour cloning of logged episodes or of the toy task."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.bc_options import add_bc, check_options, recipe_of
from vla_runtime.cli.common import print_json, teller
from vla_runtime.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from vla_runtime.learn.bc_recipe import BcRecipe
    from vla_runtime.learn.checkpoint import Checkpoint
    from vla_runtime.learn.cloning import BehaviourCloning
    from vla_runtime.learn.dataset import Dataset
    from vla_runtime.learn.runs.run import RunReport

__all__ = ["add_bc", "bc"]


def bc(args: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    check_options(args)
    # Read when torch is loaded. Threads that spin while they wait cost ten times as much as they gain on a core that
    # anyone else uses too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.runs.directory import check_run
        from vla_runtime.learn.threads import computing_with, physical_cores
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error
    import msgspec

    if args.run is not None:
        check_run(args.run, resume=bool(args.resume))
    recipe = recipe_of(args)
    recipe = msgspec.structs.replace(recipe, threads=recipe.threads or physical_cores())
    if args.run is None or args.out is not None:
        check_target(args.out or Path("model.pt"))
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    with computing_with(recipe.threads):
        report, lines = _from_env(args, recipe) if recipe.env else _from_data(args, recipe)
    if not args.quiet:
        print("\n".join(lines), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print_json(report)
    return 0


def _from_data(args: argparse.Namespace, recipe: BcRecipe) -> tuple[dict[str, Any], list[str]]:
    import msgspec

    from vla_runtime.learn.dataset import load_dataset
    from vla_runtime.learn.recipes import logs_training, measure

    tell = teller(sys.stderr)
    say = (lambda line: None) if args.quiet else (lambda line: tell(f"vla-train: {line}"))
    start = time.perf_counter()
    dataset = load_dataset(
        Path(recipe.data), val_fraction=recipe.val_fraction, seed=recipe.seed, options=recipe.data_set, say=say
    )
    load_s = time.perf_counter() - start
    _say_what_is_left_out(dataset, say)
    say(f"{len(dataset.train)} samples of {dataset.episodes} episodes, {dataset.held_out} episodes held out")
    if args.epochs is not None:
        steps = max(1, round(args.epochs * len(dataset.train) / recipe.batch_size))
        recipe = msgspec.structs.replace(recipe, steps=steps)
    begun = time.perf_counter()
    try:
        training = logs_training(dataset, recipe.recipe(), seed=recipe.seed)
    except ValueError as error:
        raise ConfigError(str(error), "--data") from error
    checkpoint, run = _trained(args, recipe, training)
    checkpoint.training |= measure(checkpoint, dataset)
    facts = checkpoint.training
    train_s = time.perf_counter() - begun
    out = _written(args, checkpoint, run)
    report = {
        "model": str(out),
        "data": str(args.data or recipe.data),
        "load_s": load_s,
        "train_s": train_s,
        "unusable": dict(dataset.unusable),
        "truncated": dataset.truncated,
        "skipped": dict(dataset.skipped),
        "threads": recipe.threads,
        **facts,
    }
    lines = [
        f"{out}: {recipe.architecture}, {facts['parameters'] / 1e3:.0f} thousand parameters, {facts['steps']} "
        f"steps in {train_s:.0f} s ({facts['steps'] / train_s:.1f} a second), {len(dataset.train)} samples of "
        f"{dataset.episodes} episodes",
        f"mean absolute error: {_error(facts['loss'], facts['error_rad'])} in training, "
        f"{_error(facts['validation_loss'], facts['validation_error_rad'])} on {dataset.held_out} held-out "
        "episodes",
    ]
    return _with_run(report, lines, run)


def _from_env(args: argparse.Namespace, recipe: BcRecipe) -> tuple[dict[str, Any], list[str]]:
    from vla_runtime.learn.evaluate import toy_success
    from vla_runtime.learn.recipes import toy_training

    start = time.perf_counter()
    training = toy_training(recipe.recipe(), seed=recipe.seed, episodes=recipe.episodes)
    checkpoint, run = _trained(args, recipe, training)
    seconds = time.perf_counter() - start
    success = toy_success(checkpoint.policy, checkpoint.spec, episodes=recipe.episodes)
    checkpoint.training |= {"success": success, "episodes": recipe.episodes}
    out = _written(args, checkpoint, run)
    line = (
        f"{out}: success {success:.3f} over {recipe.episodes} episodes, loss {checkpoint.training['loss']:.4f}, "
        f"{checkpoint.training['steps']} steps in {seconds:.1f} s"
    )
    return _with_run({"seconds": seconds, "model": str(out), "env": recipe.env, **checkpoint.training}, [line], run)


def _trained(
    args: argparse.Namespace, recipe: BcRecipe, training: BehaviourCloning
) -> tuple[Checkpoint, RunReport | None]:
    """The trained checkpoint and, with ``--run``, how the run ended; the checkpoint is then the best one."""
    from vla_runtime.learn.checkpoint import load_checkpoint
    from vla_runtime.learn.recipes import finish
    from vla_runtime.learn.runs.recipe_file import plain
    from vla_runtime.learn.runs.run import RunOptions, run

    if args.run is None:
        return finish(training, quiet=args.quiet), None
    report = run(
        training,
        RunOptions(
            args.run,
            evaluate_every=recipe.evaluate_every,
            save_seconds=60.0 if args.save_seconds is None else args.save_seconds,
            quiet=args.quiet,
            target_score=args.target_score,
            resume=bool(args.resume),
            max_seconds=args.max_seconds,
        ),
        plain(recipe),
    )
    if report.end == "interrupted":
        teller(sys.stderr)(f"vla-train: {report.steps} of {training.steps} steps are saved, go on with --resume")
        raise KeyboardInterrupt
    return load_checkpoint(report.best or report.last), report


def _written(args: argparse.Namespace, checkpoint: Checkpoint, run: RunReport | None) -> Path:
    """Where the checkpoint is: in the run directory already, or in ``--out``."""
    from vla_runtime.learn.checkpoint import save_checkpoint

    if run is not None and args.out is None:
        return run.best or run.last
    out = args.out or Path("model.pt")
    save_checkpoint(checkpoint, out)
    return out


def _with_run(report: dict[str, Any], lines: list[str], run: RunReport | None) -> tuple[dict[str, Any], list[str]]:
    if run is None:
        return report, lines
    score = "" if run.best_step is None else f", best score {run.best_score:.4f} after step {run.best_step}"
    return report | {"run": run.as_json()}, [*lines, f"{run.last.parent}: {run.end} after {run.steps} steps{score}"]


def _error(normalised: float | None, rad: float | None) -> str:
    """The error in the loss's unit and in rad; "none" where nothing was measured."""
    if normalised is None:
        return "none"
    return f"{normalised:.4f}" + ("" if rad is None else f" ({rad:.4f} rad)")


def _say_what_is_left_out(dataset: Dataset, say: Callable[[str], None]) -> None:
    for cause in list(dataset.unusable.values())[:3]:
        say(f"left out: {cause}")
    if len(dataset.unusable) > 3:
        say(f"left out: {len(dataset.unusable) - 3} more files")
    if dataset.truncated:
        say(f"{dataset.truncated} truncated episodes are used up to where they end")
    for reason, count in dataset.skipped.items():
        say(f"{count} chunks left out: {reason}")
