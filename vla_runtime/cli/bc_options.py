"""``vla-train bc``: its options, and the recipe that they make of a file's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.common import help_format
from vla_runtime.cli.set_options import add_set_options, set_options_of
from vla_runtime.core.errors import ConfigError
from vla_runtime.learn.architectures import DEFAULT, HEADS

if TYPE_CHECKING:
    from vla_runtime.learn.bc_recipe import BcRecipe

__all__ = ["add_bc", "check_options", "recipe_of"]

_EXAMPLES = """\
  vla-train bc --data episodes --out reach.pt      what the experts of the logged episodes did
  vla-train bc --data episodes --steps 8000 --augment --json
  vla-train bc --data so100_pick --size 96x96      a data set of LeRobot
  vla-train bc --data episodes --architecture flow --state-time takeover
  vla-train bc --env toy --out model.pt            ToyVLAEnv, a few seconds
  vla-train bc --env toy --head tokens             the same, actions told in tokens
  vla-train bc --recipe arm-reach-bc --data reach --run runs/reach
  vla-train bc --run runs/reach --resume           goes on after an interruption, to the same weights

Then: vla-export model.pt. Without --run, interrupted, it leaves nothing behind."""
_ONLY_DATA = ("epochs", "val_fraction", "architecture", "augment", "state_time")
_ONLY_ENV = ("episodes",)
_ONLY_RUN = ("resume", "evaluate_every", "save_seconds", "target_score", "max_seconds")
_OF_RECIPE = (
    "architecture", "head", "steps", "batch_size", "lr", "augment", "state_time", "val_fraction", "scaling", "keep",
    "clamp", "seed", "threads", "evaluate_every", "episodes",
)  # fmt: skip


def add_bc(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    options = methods.add_parser("bc", help="behaviour cloning", **help_format("Clone an expert.", _EXAMPLES))
    source = options.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, metavar="DIR", help="learn from DIR/*.mcap, a store or a data set")
    source.add_argument("--env", choices=("toy",), help="learn torchrl's ToyVLAEnv")
    options.add_argument("--recipe", metavar="R", help="a shipped recipe's name or a YAML file; options override it")
    options.add_argument("--out", type=Path, help="the checkpoint to write (default model.pt, or best.pt of --run)")
    options.add_argument("--seed", type=int, help="same seed and threads, same weights (default 0)")
    length = options.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="gradient steps (default: the recipe's)")
    length.add_argument("--epochs", type=float, metavar="N", help="instead: times over the data (with --data)")
    options.add_argument("--batch-size", type=int, metavar="N", help="samples a step (default: the recipe's)")
    options.add_argument("--lr", type=float, metavar="X", help="highest learning rate (default: the recipe's)")
    options.add_argument("--threads", type=int, metavar="N", help="of the computation (default: physical cores)")
    options.add_argument(
        "--val-fraction", type=float, metavar="X", help="of the episodes, held out (default 0.05; with --data)"
    )
    options.add_argument("--architecture", choices=tuple(HEADS), help=f"of the policy (default {DEFAULT}; with --data)")
    heads = tuple(dict.fromkeys(head for heads in HEADS.values() for head in heads))
    options.add_argument("--head", choices=heads, help="(default: the architecture's first)")
    options.add_argument(
        "--state-time",
        choices=("takeover",),
        help="show the joints where they will be when the chunk takes over (default: as recorded; with --data)",
    )
    options.add_argument("--augment", action="store_true", default=None, help="vary the images a little (with --data)")
    options.add_argument(
        "--scaling", choices=("mean_std", "min_max", "quantiles"), help="of states and actions (default mean_std)"
    )
    options.add_argument("--keep", metavar="NAME,...", help="states and actions that are not scaled")
    options.add_argument("--clamp", type=float, metavar="X", help="bound of normalised values (default: none)")
    options.add_argument("--episodes", type=int, metavar="N", help="of the evaluation (default 200; with --env)")
    add_set_options(options)
    run = options.add_argument_group("a run directory")
    run.add_argument("--run", type=Path, metavar="DIR", help="log to DIR, evaluate, keep the best, can be resumed")
    run.add_argument("--resume", action="store_true", default=None, help="go on with the run in DIR, with its recipe")
    run.add_argument("--evaluate-every", type=int, metavar="N", help="steps (default: the recipe's, else at the end)")
    run.add_argument("--save-seconds", type=float, metavar="S", help="how much time a kill may cost (default 60)")
    run.add_argument("--target-score", type=float, metavar="X", help="stop at an evaluation that reaches it")
    run.add_argument("--max-seconds", type=float, metavar="S", help="stop after so long; to be resumed")
    options.add_argument("--quiet", action="store_true", help="no progress and no report")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def check_options(args: argparse.Namespace) -> None:
    """Refuse values out of range, before anything is loaded.

    Raises:
        ConfigError: with the option's name.
    """
    for name in ("steps", "batch_size", "episodes", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"{value} given, expected at least 1", _option(name))
    for name in ("epochs", "lr", "clamp"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{value} given, expected more than 0", _option(name))
    for name in ("evaluate_every", "save_seconds", "max_seconds"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < float("inf"):
            raise ConfigError(f"{value} given, expected 0 or more", _option(name))
    if args.target_score is not None and not abs(args.target_score) < float("inf"):
        raise ConfigError(f"{args.target_score} given, expected a number", "--target-score")
    if args.val_fraction is not None and not 0 <= args.val_fraction < 1:
        raise ConfigError(f"{args.val_fraction} given, expected 0 or more, less than 1", "--val-fraction")
    for name in _ONLY_RUN if args.run is None else ():
        if getattr(args, name) is not None:
            raise ConfigError("has a meaning with --run only", _option(name))


def recipe_of(args: argparse.Namespace) -> BcRecipe:
    """The recipe of the run that is resumed, of the file, or the default one, with the options over it.

    Raises:
        ConfigError: the file is wrong, no source is named, or an option has no meaning with it.
    """
    import msgspec

    base = _base(args)
    source = {"data": args.data and str(args.data), "env": args.env} if args.data or args.env else {}
    given = {name: getattr(args, name) for name in _OF_RECIPE if getattr(args, name) is not None}
    if args.keep is not None:
        given["keep"] = tuple(name for name in args.keep.split(",") if name)
    data_set = set_options_of(args)
    if data_set is not None:
        given["data_set"] = data_set
    recipe = msgspec.structs.replace(base, **source, **given)
    if recipe.data is None and recipe.env is None:
        raise ConfigError("one of --data and --env is needed, or a --recipe that names one")
    kind, others = ("--data", _ONLY_ENV) if recipe.data is not None else ("--env", _ONLY_DATA)
    for name in others:
        if getattr(args, name) is not None:
            raise ConfigError(f"has no meaning with {kind}", _option(name))
    if recipe.data is not None:
        recipe = msgspec.structs.replace(recipe, data=str(Path(recipe.data).resolve()))
    recipe.check()
    return recipe


def _base(args: argparse.Namespace) -> BcRecipe:
    from vla_runtime.learn.bc_recipe import BcRecipe
    from vla_runtime.learn.runs.recipe_file import load_recipe

    if args.recipe is not None:
        return load_recipe(args.recipe, BcRecipe)
    if args.resume:
        return load_recipe(str(args.run / "recipe.yaml"), BcRecipe)
    return load_recipe("toy-bc", BcRecipe) if args.env == "toy" else BcRecipe()


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
