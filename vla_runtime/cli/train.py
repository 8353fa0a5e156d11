"""``vla-train``: demonstrations and behaviour cloning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vla_runtime.cli.common import command, parser
from vla_runtime.cli.train_bc import add_bc, bc
from vla_runtime.cli.train_collect import add_collect, collect
from vla_runtime.cli.train_grpo import add_grpo, grpo
from vla_runtime.cli.train_inspect import add_inspect, inspect
from vla_runtime.cli.train_recipe import add_recipe, recipe
from vla_runtime.cli.train_store import add_store, store

__all__ = ["main"]

_EXAMPLES = """\
  vla-train bc --env toy --out model.pt                                  ToyVLAEnv, a few seconds
  vla-train collect --robot arm --task reach --episodes 300 --out reach  demonstrations of an expert
  vla-train bc --data reach --out reach.pt                               a policy that does what they show
  vla-train bc --recipe arm-reach-bc --data reach --run runs/reach       the same with logs, to be resumed
  vla-train store --data reach --out reach.store                         the same data, decoded once, on disk
  vla-train recipe --robot arm --task reach --out build/reach            all of it, with the export and a success rate
  vla-train inspect so100_pick                                           what somebody else's data set holds

`vla-train collect --help` and so on say more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    methods = {"collect": collect, "bc": bc, "grpo": grpo, "recipe": recipe, "store": store, "inspect": inspect}
    body = methods[args.method]
    return command("vla-train", lambda: body(args), args.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("vla-train", "Train a chunk policy.", _EXAMPLES)
    methods = options.add_subparsers(dest="method", required=True, metavar="METHOD")
    add_collect(methods)
    add_bc(methods)
    add_grpo(methods)
    add_recipe(methods)
    add_store(methods)
    add_inspect(methods)
    return options


if __name__ == "__main__":
    sys.exit(main())
