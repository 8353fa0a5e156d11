"""``vla-train grpo``: a token policy learns from groups of episodes that began alike."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.common import help_format, print_json, teller
from vla_runtime.core.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from vla_runtime.learn.grpo.recipe import GrpoRecipe
    from vla_runtime.learn.grpo.training import Grpo
    from vla_runtime.learn.runs.run import RunReport

__all__ = ["add_grpo", "grpo"]

_EXAMPLES = """\
  vla-train grpo --env toy --out toy-grpo.pt                   from a weak start, about a minute
  vla-train grpo --robot arm --task reach --init half.pt --run runs/reach
  vla-train grpo --recipe arm-reach-grpo --init half.pt --run runs/reach --seed 1 --target-score 0.9
  vla-train grpo --run runs/reach --resume                     goes on after an interruption, to the same weights
  vla-train grpo --env toy --collectors ray                    episodes in Ray actors (extra 'ray')

The checkpoint to begin with needs a token head (vla-train bc --head tokens). A simulated robot's episodes are those of
vla-eval: the runtime's own loop, in virtual time. Then: vla-export the checkpoint."""
_OF_RECIPE = (
    "env", "robot", "task", "init", "iterations", "groups", "group_size", "lanes", "workers", "collectors", "seconds",
    "exam_seconds", "replan_interval", "latency_ms", "epochs", "batch_size", "lr", "temperature", "coherence",
    "seed", "threads", "evaluate_every", "episodes", "target_score",
)  # fmt: skip
_COUNTS = (
    "iterations", "groups", "lanes", "workers", "replan_interval", "epochs", "batch_size", "threads",
    "episodes",
)  # fmt: skip


def add_grpo(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    about = "Let a token policy practise: group-relative policy optimisation of whole episodes' success."
    options = methods.add_parser("grpo", help="practice, rewarded by success", **help_format(about, _EXAMPLES))
    source = options.add_mutually_exclusive_group()
    source.add_argument("--env", choices=("toy",), help="practise torchrl's ToyVLAEnv")
    source.add_argument("--robot", metavar="R", help="practise on a simulated robot: a shipped config or a YAML file")
    options.add_argument("--task", metavar="T", help="one of the tasks that the robot's device knows")
    options.add_argument("--init", metavar="MODEL", help="the checkpoint to begin with (toy: a weak start if left out)")
    options.add_argument("--recipe", metavar="R", help="a shipped recipe's name or a YAML file; options override it")
    options.add_argument("--out", type=Path, help="the checkpoint to write (default grpo.pt, or best.pt of --run)")
    options.add_argument("--seed", type=int, help="same seed and threads, same weights (default 0)")
    options.add_argument("--iterations", type=int, metavar="N", help="rounds of practice and learning")
    options.add_argument("--groups", type=int, metavar="N", help="of an iteration")
    options.add_argument("--group-size", type=int, metavar="N", help="episodes that begin alike")
    options.add_argument("--lanes", type=int, metavar="N", help="episodes at a time (with --robot)")
    options.add_argument("--workers", type=int, metavar="N", help="processes or Ray actors (with --robot)")
    options.add_argument("--collectors", choices=("local", "ray"), help="where episodes run (default local)")
    options.add_argument("--seconds", type=float, metavar="S", help="of an episode, at most (with --robot)")
    options.add_argument("--exam-seconds", type=float, metavar="S", help="of one of an evaluation (with --robot)")
    options.add_argument("--replan-interval", type=int, metavar="K", help="rows executed of each (with --robot)")
    options.add_argument("--latency-ms", type=float, metavar="L", help="from request to chunk (with --robot)")
    options.add_argument("--epochs", type=int, metavar="N", help="times each chunk is learnt from")
    options.add_argument("--batch-size", type=int, metavar="N", help="chunks a gradient step")
    options.add_argument("--lr", type=float, metavar="X", help="learning rate of the first iteration; it falls to 0")
    options.add_argument("--temperature", type=float, metavar="X", help="of the tokens that are drawn")
    options.add_argument("--coherence", type=float, metavar="X", help="share of their noise that lasts an episode")
    options.add_argument("--threads", type=int, metavar="N", help="of the computation (default: physical cores)")
    options.add_argument("--episodes", type=int, metavar="N", help="of an evaluation")
    options.add_argument("--evaluate-every", type=int, metavar="N", help="iterations; 0 for the last alone")
    options.add_argument("--target-score", type=float, metavar="X", help="stop at an evaluation that reaches it")
    run = options.add_argument_group("a run directory")
    run.add_argument("--run", type=Path, metavar="DIR", help="log to DIR, keep the best, can be resumed")
    run.add_argument("--resume", action="store_true", help="go on with the run in DIR, with its recipe")
    run.add_argument("--save-seconds", type=float, default=60.0, metavar="S", help="how much a kill may cost (60)")
    run.add_argument("--max-seconds", type=float, metavar="S", help="stop after so long; to be resumed")
    options.add_argument("--quiet", action="store_true", help="no progress and no report")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def grpo(args: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    _check(args)
    try:
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.grpo.build import grpo_training
        from vla_runtime.learn.runs.directory import check_run
        from vla_runtime.learn.threads import computing_with, physical_cores
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error
    import msgspec

    if args.run is not None:
        check_run(args.run, resume=args.resume)
    recipe = _recipe(args)
    recipe = msgspec.structs.replace(recipe, threads=recipe.threads or physical_cores())
    out = args.out or (None if args.run else Path("grpo.pt"))
    if out is not None:
        check_target(out)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    with computing_with(recipe.threads), closing(grpo_training(recipe)) as training:
        report, line = _trained(args, recipe, training, out)
    if not args.quiet:
        print(line, file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print_json(report)
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in _COUNTS:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"{value} given, expected at least 1", _option(name))
    if args.group_size is not None and args.group_size < 2:
        raise ConfigError(f"{args.group_size} given, expected at least 2", "--group-size")
    for name in ("lr", "temperature", "seconds", "exam_seconds"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{value} given, expected more than 0", _option(name))
    if args.coherence is not None and not 0 <= args.coherence <= 1:
        raise ConfigError(f"{args.coherence} given, expected 0 to 1", "--coherence")
    for name in ("latency_ms", "evaluate_every", "save_seconds", "max_seconds"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < float("inf"):
            raise ConfigError(f"{value} given, expected 0 or more", _option(name))
    if args.seed is not None and not 0 <= args.seed < 1000:
        raise ConfigError(f"{args.seed} given, expected 0 to 999", "--seed")
    if args.run is None and (args.resume or args.max_seconds is not None):
        raise ConfigError("has a meaning with --run only", "--resume" if args.resume else "--max-seconds")


def _recipe(args: argparse.Namespace) -> GrpoRecipe:
    """The recipe of the run that is resumed, of the file, or the default one, with the options over it."""
    import msgspec

    from vla_runtime.learn.grpo.recipe import GrpoRecipe
    from vla_runtime.learn.runs.recipe_file import load_recipe

    given = {name: getattr(args, name) for name in _OF_RECIPE if getattr(args, name) is not None}
    if args.recipe is not None:
        base = load_recipe(args.recipe, GrpoRecipe)
    elif args.resume:
        base = load_recipe(str(args.run / "recipe.yaml"), GrpoRecipe)
    else:
        base = load_recipe("toy-grpo", GrpoRecipe) if args.env == "toy" else GrpoRecipe()
    if args.env is not None or args.robot is not None:
        base = msgspec.structs.replace(base, env=None, robot=None)
    recipe = msgspec.structs.replace(base, **given)
    if recipe.env is None and recipe.robot is None:
        raise ConfigError("one of --env and --robot is needed, or a --recipe that names one")
    if recipe.init is not None:
        recipe = msgspec.structs.replace(recipe, init=str(Path(recipe.init).resolve()))
    recipe.check()
    return recipe


def _trained(
    args: argparse.Namespace, recipe: GrpoRecipe, training: Grpo, out: Path | None
) -> tuple[dict[str, Any], str]:
    """The report and a line for people; the checkpoint is written."""
    from tempfile import TemporaryDirectory

    from vla_runtime.learn.checkpoint import load_checkpoint, save_checkpoint
    from vla_runtime.learn.runs.recipe_file import plain
    from vla_runtime.learn.runs.run import RunOptions, run

    begun = time.monotonic()
    start = {} if args.resume else training.evaluate()
    with TemporaryDirectory(prefix="vla-grpo-") as aside:
        options = RunOptions(
            args.run or Path(aside) / "run",
            evaluate_every=recipe.evaluate_every,
            save_seconds=args.save_seconds,
            quiet=args.quiet,
            target_score=recipe.target_score,
            resume=args.resume,
            max_seconds=args.max_seconds,
        )
        report = run(training, options, plain(recipe))
        if report.end == "interrupted":
            if args.run is not None:
                teller(sys.stderr)(f"vla-train: {report.steps} iterations are saved, go on with --resume")
            raise KeyboardInterrupt
        best = report.best or report.last
        made = load_checkpoint(best)
        if out is not None:
            save_checkpoint(made, out)
    model = out or best
    seconds = time.monotonic() - begun
    answer = {
        "model": str(model),
        "method": "grpo",
        "env": recipe.env,
        "robot": recipe.robot,
        "task": recipe.task,
        "seed": recipe.seed,
        "threads": recipe.threads,
        "iterations": report.steps,
        "start": start.get("success"),
        "success": report.best_score,
        "episodes": recipe.episodes,
        "seconds": seconds,
        "end": report.end,
        "run": report.as_json() if args.run is not None else None,
    }
    return answer, f"{model}: {_success(answer, report)}, {report.steps} iterations, {seconds:.0f} s"


def _success(answer: dict[str, Any], report: RunReport) -> str:
    if report.best_score is None:
        return "not evaluated yet"
    before = "" if answer["start"] is None else f"{answer['start']:.3f} before, "
    after = f"{report.best_score:.3f} after {report.best_step} iterations"
    return f"success, greedy, over {answer['episodes']} episodes: {before}{after}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
