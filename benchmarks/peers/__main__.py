"""Our runtime beside other executors of action chunks: the same arm, policy, inference time and machine.

Each contestant runs in an environment of its own, made from the package index at the first call and kept in
build/peers. They take turns, forwards and backwards. Writes build/bench/peers.json; docs/peers.md says what is
measured.

examples:
  python -m benchmarks.peers                                        all, about 45 minutes and 3 GB
  python -m benchmarks.peers --peers ours,openpi --seconds 20 --repeats 3 --json
  python -m benchmarks.peers --peers ideal,ours --scenarios usual   two minutes, no download but ours
  python -m benchmarks.peers --costs-only                           only what a step costs
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.peers.contestants import CONTESTANTS, Contestant
from benchmarks.peers.environments import Environment, NotMade, make
from benchmarks.peers.meeting import costs, medians, meet
from benchmarks.peers.policy_file import write
from benchmarks.peers.scenarios import SCENARIOS
from benchmarks.peers.table import tables
from benchmarks.result import DIRECTORY


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = _measure(arguments, Path(folder))
    except KeyboardInterrupt:
        print("interrupted: nothing is left running", file=sys.stderr)
        return 130
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "peers.json").write_text(json.dumps(found, indent=2) + "\n")
    print(tables(found), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(found))
    return 0


def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    policy = folder / "clock.onnx"
    write(policy)
    ready, errors = _ready(arguments)
    cost = costs(ready, policy, arguments.repeats, folder / "run", _say)
    runs: list[dict[str, Any]] = []
    for name in [] if arguments.costs_only else arguments.scenarios:
        runs += meet(ready, SCENARIOS[name], policy, arguments.seconds, arguments.repeats, folder / "run", _say)
    return {
        "benchmark": "peers",
        "python": platform.python_version(),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}, {platform.machine()}",
        "seconds": arguments.seconds,
        "repeats": arguments.repeats,
        "contestants": {name: CONTESTANTS[name].settings for name in arguments.peers},
        "not_installed": errors,
        "cost": cost,
        "table": _table(runs),
        "runs": runs,
    }


def _table(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{scenario: {contestant: the medians of its runs, or its error}}."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for run in runs:
        found.setdefault(run["scenario"], {}).setdefault(run["contestant"], []).append(run)
    return {
        scenario: {name: medians([run for run in own if "error" not in run] or own) for name, own in results.items()}
        for scenario, results in found.items()
    }


def _ready(arguments: argparse.Namespace) -> tuple[list[Contestant], dict[str, str]]:
    """The contestants whose environments are there, and why others are not."""
    ready: list[Contestant] = []
    errors: dict[str, str] = {}
    made: dict[Environment | None, str] = {None: ""}
    for name in arguments.peers:
        contestant = CONTESTANTS[name].here() if arguments.here else CONTESTANTS[name]
        environment = contestant.environment
        if environment not in made:
            made[environment] = _made(environment)
        if made[environment]:
            errors[name] = made[environment]
        else:
            ready.append(contestant)
    return ready, errors


def _made(environment: Environment) -> str:
    """Why the environment cannot be made, "" if it is there."""
    _say(f"environment {environment.name}: {environment.folder}")
    try:
        make(environment)
    except NotMade as error:
        _say(f"environment {environment.name} cannot be made: {error}")
        return str(error)
    return ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=_choices(CONTESTANTS), default=list(CONTESTANTS), metavar="A,B",
                        help=f"of {', '.join(CONTESTANTS)} (all)")  # fmt: skip
    parser.add_argument("--scenarios", type=_choices(SCENARIOS), default=list(SCENARIOS), metavar="A,B",
                        help=f"of {', '.join(SCENARIOS)} (all)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run that are measured (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (%(default)s)")
    parser.add_argument("--costs-only", action="store_true", help="only what a step of each costs")
    parser.add_argument("--here", action="store_true", help="all in this interpreter, which must have what they need")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="folder of the results (build/bench)")
    parser.add_argument("--json", action="store_true", help="the figures on the last line of stdout")
    return parser.parse_args()


def _choices(valid: Sequence[str] | dict[str, Any]):
    def convert(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in valid]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(valid)}")
        return names

    return convert


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
