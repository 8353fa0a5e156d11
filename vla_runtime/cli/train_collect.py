"""``vla-train collect``: demonstrations by a simulated robot's own expert, as episode files. Needs no torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vla_runtime.cli.common import help_format, print_json, teller

__all__ = ["add_collect", "collect"]

_EXAMPLES = """\
  vla-train collect --robot tracker --task track --episodes 20 --out episodes
  vla-train collect --robot arm --task push --episodes 300 --out push --disturb 0.05 --replan-interval 2

The same seed gives the same files, whatever the number of workers. Interrupted, whole episodes stay, nothing else."""


def add_collect(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    about = "Let the robot's own expert do a task in virtual time, and write every episode as an MCAP file."
    options = methods.add_parser("collect", help="demonstrations in virtual time", **help_format(about, _EXAMPLES))
    options.add_argument("--robot", required=True, metavar="R", help="a shipped robot's name or a YAML file")
    options.add_argument("--task", required=True, metavar="T", help="one of the tasks that the robot's device knows")
    options.add_argument("--episodes", type=int, required=True, metavar="N", help="how many to run")
    options.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the episodes are written")
    options.add_argument("--seed", type=int, default=0, metavar="S", help="of the first episode (default 0)")
    options.add_argument(
        "--disturb", type=float, default=0.0, metavar="RAD", help="disturb what the robot does, not what is logged"
    )
    options.add_argument("--chunk-length", type=int, default=16, metavar="H", help="rows of a chunk (default 16)")
    options.add_argument("--replan-interval", type=int, metavar="K", help="rows executed of each chunk")
    options.add_argument("--max-seconds", type=float, default=60.0, metavar="S", help="end an episode (default 60)")
    options.add_argument("--keep-failures", action="store_true", help="keep episodes in which the expert failed too")
    options.add_argument("--overwrite", action="store_true", help="replace episodes of the same seeds")
    options.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def collect(arguments: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    from vla_runtime.app.collect import CollectOptions
    from vla_runtime.app.collect import collect as run

    tell = teller(sys.stderr)
    options = CollectOptions(
        robot=arguments.robot,
        task=arguments.task,
        out=arguments.out,
        episodes=arguments.episodes,
        seed=arguments.seed,
        disturb=arguments.disturb,
        chunk_length=arguments.chunk_length,
        replan_interval=arguments.replan_interval,
        max_seconds=arguments.max_seconds,
        keep_failures=arguments.keep_failures,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
    )
    report = run(options, lambda line: tell(f"vla-train: {line}"))
    print(report.as_text(), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print_json(report.as_json())
    return 0
