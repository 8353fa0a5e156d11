"""``vla-train``: demonstrations, behaviour cloning and a success rate, for the toy task or a configured arm."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vla_runtime.cli.common import command, help_format, parser, print_json
from vla_runtime.cli.train_collect import add_collect, collect
from vla_runtime.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from vla_runtime.learn.checkpoint import Checkpoint
    from vla_runtime.learn.recipes import Recipe

__all__ = ["main"]

_EXAMPLES = """\
  vla-train bc --env toy --out model.pt     ToyVLAEnv, a few seconds
  vla-train bc --env arm --out arm.pt       the poses named in the arm's robot config
  vla-train bc --env toy --seed 1 --json    a JSON report on the last line

Then: vla-export model.pt. Interrupted, it leaves nothing behind."""
_Evaluate = Callable[["Checkpoint", int], float]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    body = collect if args.method == "collect" else _train
    return command("vla-train", lambda: body(args), args.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("vla-train", "Train a chunk policy.", _EXAMPLES)
    methods = options.add_subparsers(dest="method", required=True, metavar="METHOD")
    add_collect(methods)
    bc = methods.add_parser("bc", help="behaviour cloning", **help_format("Clone an expert.", _EXAMPLES))
    bc.add_argument("--env", choices=("toy", "arm"), required=True, help="what to learn")
    bc.add_argument("--out", type=Path, default=Path("model.pt"), help="the checkpoint to write (default: model.pt)")
    bc.add_argument("--seed", type=int, default=0, help="the same seed gives the same weights (default: 0)")
    bc.add_argument("--steps", type=int, help="gradient steps (default: the recipe's)")
    bc.add_argument("--batch-size", type=int, help="samples a step (default: the recipe's)")
    bc.add_argument("--episodes", type=int, default=200, help="episodes of the evaluation (default: 200)")
    bc.add_argument("--head", choices=("continuous",), default="continuous", help="the action head to train")
    bc.add_argument("--quiet", action="store_true", help="no progress bar and no report")
    bc.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    return options


def _train(args: argparse.Namespace) -> int:
    for name in ("steps", "batch_size", "episodes"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"{value} given, expected at least 1", f"--{name.replace('_', '-')}")
    try:
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.checkpoint import save_checkpoint
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error

    check_target(args.out)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    start = time.perf_counter()
    checkpoint, evaluate = _toy(args) if args.env == "toy" else _arm(args)
    seconds = time.perf_counter() - start
    success = evaluate(checkpoint, args.episodes)
    checkpoint.training |= {"success": success, "episodes": args.episodes}
    save_checkpoint(checkpoint, args.out)

    if not args.quiet:
        print(
            f"{args.out}: success {success:.3f} over {args.episodes} episodes, loss {checkpoint.training['loss']:.4f}, "
            f"{checkpoint.training['steps']} steps in {seconds:.1f} s",
            file=sys.stderr if args.json else sys.stdout,
        )
    if args.json:
        report = {"seconds": seconds, "model": str(args.out), "env": args.env, **checkpoint.training}
        print_json(report)
    return 0


def _recipe(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    from dataclasses import replace

    given = {"steps": args.steps, "batch_size": args.batch_size}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _toy(args: argparse.Namespace) -> tuple[Checkpoint, _Evaluate]:
    from vla_runtime.learn.evaluate import toy_success
    from vla_runtime.learn.recipes import TOY, train_toy

    checkpoint = train_toy(_recipe(args, TOY), seed=args.seed, quiet=args.quiet)
    return checkpoint, lambda made, episodes: toy_success(made.policy, made.spec, episodes=episodes)


def _arm(args: argparse.Namespace) -> tuple[Checkpoint, _Evaluate]:
    from vla_runtime.app.load import load_config
    from vla_runtime.learn.arm import pose_task
    from vla_runtime.learn.evaluate import pose_success
    from vla_runtime.learn.recipes import ARM, train_arm

    config = load_config("arm")
    options = config.device.options
    for name in ("poses", "time_constant_s"):
        if name not in options:
            raise ConfigError(f"missing, vla-train needs it; given: {', '.join(sorted(options))}", f"$.device.{name}")
    lag = float(options["time_constant_s"])
    try:
        task = pose_task(
            joints=[joint.name for joint in config.joints],
            units=[joint.unit for joint in config.joints],
            limits=[tuple(joint.position) for joint in config.joints],
            velocity=[joint.velocity for joint in config.joints],
            cameras={camera.name: (camera.height, camera.width) for camera in config.cameras},
            poses=options["poses"],
            step_hz=config.policy.step_hz,
            time_constant_s=lag,
        )
        checkpoint = train_arm(task, _recipe(args, ARM), seed=args.seed, quiet=args.quiet)
    except ValueError as error:
        raise ConfigError(str(error), "robot config arm") from error
    return checkpoint, lambda made, episodes: pose_success(
        made.policy, made.spec, task, time_constant_s=lag, episodes=episodes
    )


if __name__ == "__main__":
    sys.exit(main())
