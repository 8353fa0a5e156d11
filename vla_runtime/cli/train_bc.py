"""``vla-train bc``: behaviour cloning of logged episodes or of the toy task."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.common import help_format, print_json, teller
from vla_runtime.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from vla_runtime.learn.dataset import Dataset
    from vla_runtime.learn.recipes import Recipe

__all__ = ["add_bc", "bc"]

_EXAMPLES = """\
  vla-train bc --data episodes --out reach.pt      what the experts of the logged episodes did
  vla-train bc --data episodes --steps 8000 --augment --json
  vla-train bc --data episodes --architecture flow --state-time takeover
  vla-train bc --env toy --out model.pt            ToyVLAEnv, a few seconds

Then: vla-export model.pt. Interrupted, it leaves nothing behind."""
_ONLY_DATA = ("epochs", "val_fraction", "architecture", "augment", "state_time")
_ONLY_ENV = ("episodes",)


def add_bc(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    options = methods.add_parser("bc", help="behaviour cloning", **help_format("Clone an expert.", _EXAMPLES))
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="learn from the episodes DIR/*.mcap")
    source.add_argument("--env", choices=("toy",), help="learn torchrl's ToyVLAEnv")
    options.add_argument("--out", type=Path, default=Path("model.pt"), help="the checkpoint to write (model.pt)")
    options.add_argument("--seed", type=int, default=0, help="same seed and threads, same weights (default 0)")
    length = options.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="gradient steps (default: the recipe's)")
    length.add_argument("--epochs", type=float, metavar="N", help="instead: times over the data (with --data)")
    options.add_argument("--batch-size", type=int, metavar="N", help="samples a step (default: the recipe's)")
    options.add_argument("--lr", type=float, metavar="X", help="highest learning rate (default: the recipe's)")
    options.add_argument("--threads", type=int, metavar="N", help="of the computation (default: physical cores)")
    options.add_argument(
        "--val-fraction", type=float, metavar="X", help="of the episodes, held out (default 0.05; with --data)"
    )
    options.add_argument(
        "--architecture", choices=("visuomotor", "flow", "tiny"), help="of the policy (default visuomotor; with --data)"
    )
    options.add_argument(
        "--state-time",
        choices=("takeover",),
        help="show the joints where they will be when the chunk takes over (default: as recorded; with --data)",
    )
    options.add_argument("--augment", action="store_true", default=None, help="vary the images a little (with --data)")
    options.add_argument("--episodes", type=int, metavar="N", help="of the evaluation (default 200; with --env)")
    options.add_argument("--head", choices=("continuous",), default="continuous", help="the action head to train")
    options.add_argument("--quiet", action="store_true", help="no progress and no report")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def bc(args: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    _check(args)
    # Read when torch is loaded. Threads that spin while they wait cost ten times as much as they gain on a core that
    # anyone else uses too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.threads import computing_with, physical_cores
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error

    check_target(args.out)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    threads = args.threads or physical_cores()
    with computing_with(threads):
        report, lines = _from_env(args) if args.env else _from_data(args)
    if not args.quiet:
        print("\n".join(lines), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print_json(report | ({"threads": threads} if args.data else {}))
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in ("steps", "batch_size", "episodes", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"{value} given, expected at least 1", _option(name))
    for name in ("epochs", "lr"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{value} given, expected more than 0", _option(name))
    if args.val_fraction is not None and not 0 <= args.val_fraction < 1:
        raise ConfigError(f"{args.val_fraction} given, expected 0 or more, less than 1", "--val-fraction")
    source, others = ("--data", _ONLY_ENV) if args.data else ("--env", _ONLY_DATA)
    for name in others:
        if getattr(args, name) is not None:
            raise ConfigError(f"has no meaning with {source}", _option(name))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _recipe(args: argparse.Namespace, recipe: Recipe, **more: object) -> Recipe:
    given = {"steps": args.steps, "batch_size": args.batch_size, "lr": args.lr, **more}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _from_data(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from vla_runtime.learn.checkpoint import save_checkpoint
    from vla_runtime.learn.dataset import load_dataset
    from vla_runtime.learn.recipes import LOGS, train_logs

    tell = teller(sys.stderr)
    say = (lambda line: None) if args.quiet else (lambda line: tell(f"vla-train: {line}"))
    start = time.perf_counter()
    fraction = 0.05 if args.val_fraction is None else args.val_fraction
    dataset = load_dataset(args.data, val_fraction=fraction, seed=args.seed, say=say)
    load_s = time.perf_counter() - start
    _say_what_is_left_out(dataset, say)
    say(f"{len(dataset.train)} samples of {dataset.episodes} episodes, {dataset.held_out} episodes held out")
    recipe = _recipe(args, LOGS, architecture=args.architecture, augment=args.augment, state_time=args.state_time)
    if args.epochs is not None:
        recipe = replace(recipe, steps=max(1, round(args.epochs * len(dataset.train) / recipe.batch_size)))
    begun = time.perf_counter()
    try:
        checkpoint = train_logs(dataset, recipe, seed=args.seed, quiet=args.quiet)
    except ValueError as error:
        raise ConfigError(str(error), "--data") from error
    training = checkpoint.training
    train_s = time.perf_counter() - begun
    save_checkpoint(checkpoint, args.out)
    report = {
        "model": str(args.out),
        "data": str(args.data),
        "load_s": load_s,
        "train_s": train_s,
        "unusable": dict(dataset.unusable),
        "truncated": dataset.truncated,
        "skipped": dict(dataset.skipped),
        **training,
    }
    lines = [
        f"{args.out}: {recipe.architecture}, {training['parameters'] / 1e3:.0f} thousand parameters, {recipe.steps} "
        f"steps in {train_s:.0f} s ({recipe.steps / train_s:.1f} a second), {len(dataset.train)} samples of "
        f"{dataset.episodes} episodes",
        f"mean absolute error: {_error(training['loss'], training['error_rad'])} in training, "
        f"{_error(training['validation_loss'], training['validation_error_rad'])} on {dataset.held_out} held-out "
        "episodes",
    ]
    return report, lines


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


def _from_env(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from vla_runtime.learn.checkpoint import save_checkpoint
    from vla_runtime.learn.evaluate import toy_success
    from vla_runtime.learn.recipes import TOY, train_toy

    start = time.perf_counter()
    checkpoint = train_toy(_recipe(args, TOY), seed=args.seed, quiet=args.quiet)
    seconds = time.perf_counter() - start
    episodes = args.episodes or 200
    success = toy_success(checkpoint.policy, checkpoint.spec, episodes=episodes)
    checkpoint.training |= {"success": success, "episodes": episodes}
    save_checkpoint(checkpoint, args.out)
    line = (
        f"{args.out}: success {success:.3f} over {episodes} episodes, loss {checkpoint.training['loss']:.4f}, "
        f"{checkpoint.training['steps']} steps in {seconds:.1f} s"
    )
    return {"seconds": seconds, "model": str(args.out), "env": args.env, **checkpoint.training}, [line]
