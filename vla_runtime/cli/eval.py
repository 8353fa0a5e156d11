"""``vla-eval``: how often a policy succeeds, and how smoothly it moves, over many episodes in virtual time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vla_runtime.cli.common import command, parser, print_json, teller
from vla_runtime.core.errors import ConfigError

__all__ = ["main"]

_EXAMPLES = """\
  vla-eval --robot tracker --task track --episodes 20
  vla-eval --robot arm --task reach --policy reach.onnx --latency-ms 0,50,100 --json
  vla-eval --robot arm --task push --expert --episodes 50
  vla-eval --robot arm --task reach --ablate images        what it can do without seeing

The same seed gives the same numbers, whatever the number of workers; docs/evaluation.md defines them."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return command("vla-eval", lambda: _evaluate(arguments), arguments.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("vla-eval", "Run a policy through many simulated episodes in virtual time.", _EXAMPLES)
    options.add_argument("--robot", required=True, metavar="R", help="a shipped robot's name or a YAML file")
    options.add_argument("--task", required=True, metavar="T", help="one of the tasks that the robot's device knows")
    options.add_argument("--episodes", type=int, default=100, metavar="N", help="at each latency (default 100)")
    options.add_argument(
        "--latency-ms", default="0", metavar="L,...", help="from a request to its chunk, one or more (default 0)"
    )
    options.add_argument(
        "--latency-pattern",
        choices=("constant", "jittered", "bursty"),
        default="constant",
        help="every chunk that late (default), half to one and a half times, or calm spells and storms; same mean",
    )
    who = options.add_mutually_exclusive_group()
    who.add_argument("--policy", metavar="FILE", help="a policy file instead of the config's (.onnx or .ts)")
    who.add_argument("--expert", action="store_true", help="the device's own demonstration instead of a policy")
    options.add_argument("--replan-interval", type=int, metavar="K", help="rows executed of each chunk")
    options.add_argument(
        "--ablate",
        choices=("images", "instruction"),
        help="show the policy black images, or tell it another instruction than the device",
    )
    options.add_argument("--seed", type=int, metavar="S", help="of the first episode (default 1000000)")
    options.add_argument("--max-seconds", type=float, default=60.0, metavar="S", help="end an episode (default 60)")
    options.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    options.add_argument("--log", type=Path, metavar="DIR", help="write every episode as an MCAP file")
    options.add_argument("--json", action="store_true", help="print the report as one JSON object on the last line")
    return options


def _evaluate(arguments: argparse.Namespace) -> int:
    from vla_runtime.app.evaluate import FIRST_SEED, EvaluateOptions, evaluate

    tell = teller(sys.stderr)
    options = EvaluateOptions(
        robot=arguments.robot,
        task=arguments.task,
        episodes=arguments.episodes,
        latencies_ms=_latencies(arguments.latency_ms),
        latency_pattern=arguments.latency_pattern,
        policy=arguments.policy,
        expert=arguments.expert,
        replan_interval=arguments.replan_interval,
        ablate=arguments.ablate,
        seed=FIRST_SEED if arguments.seed is None else arguments.seed,
        workers=arguments.workers,
        log=arguments.log,
        max_seconds=arguments.max_seconds,
    )
    report = evaluate(options, lambda line: tell(f"vla-eval: {line}"))
    print(report.as_text(), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print_json(report.as_json())
    return 0


def _latencies(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"{text!r} given, expected milliseconds separated by commas", "--latency-ms") from error


if __name__ == "__main__":
    sys.exit(main())
