"""``vla-train recipe``: collect, train, export and evaluate, one after another, from one seed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_runtime.cli.common import help_format, print_json, teller
from vla_runtime.core.errors import ConfigError, Fault, Refusal
from vla_runtime.learn.architectures import DEFAULT, HEADS

__all__ = ["RECIPES", "Sizes", "add_recipe", "recipe"]

_EXAMPLES = """\
  vla-train recipe --robot arm --task reach --out build/reach
  vla-train recipe --robot arm --task push --out build/push --seed 1 --json
  vla-train recipe --robot arm --task track --out build/track_flow --architecture flow
  vla-train recipe --robot tracker --task track --out build/track --episodes 200 --steps 500

OUT then holds episodes/, model.pt, TASK.onnx and report.json, which says how long each stage took. The stages are the
commands collect, bc, vla-export and vla-eval: run them by hand for what is not an option here."""
_CLOSING_S = 20.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of one recipe: demonstrations, the most they are disturbed by (rad), gradient steps."""

    episodes: int
    disturb: float
    steps: int


RECIPES = {
    "reach": Sizes(episodes=1200, disturb=0.03, steps=2000),
    "push": Sizes(episodes=800, disturb=0.015, steps=3500),
    "track": Sizes(episodes=1000, disturb=0.012, steps=5000),
}
"""What suffices for the tasks of ``sim_arm``; other tasks begin from the sizes of ``reach``."""


def add_recipe(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    about = "Everything from a task to a policy file with a success rate: collect, train, export, evaluate."
    options = methods.add_parser("recipe", help="collect, train, export, evaluate", **help_format(about, _EXAMPLES))
    options.add_argument("--robot", required=True, metavar="R", help="a shipped robot's name or a YAML file")
    options.add_argument("--task", required=True, metavar="T", help="one of the tasks that the robot's device knows")
    options.add_argument("--out", type=Path, required=True, metavar="DIR", help="where all of it goes; a new directory")
    options.add_argument(
        "--architecture",
        choices=tuple(HEADS),
        default=DEFAULT,
        help=f"of the policy ({DEFAULT})",
    )
    options.add_argument("--seed", type=int, default=0, metavar="S", help="of the episodes and the weights (default 0)")
    options.add_argument("--episodes", type=int, metavar="N", help="demonstrations (default: the task's)")
    options.add_argument("--disturb", type=float, metavar="RAD", help="while they are made (default: the task's)")
    options.add_argument("--steps", type=int, metavar="N", help="gradient steps (default: the task's)")
    options.add_argument("--evaluate", type=int, default=100, metavar="N", help="episodes of the evaluation (100)")
    options.add_argument("--latency-ms", default="0", metavar="L,...", help="of the evaluation (default 0)")
    options.add_argument("--workers", type=int, metavar="N", help="processes, threads (default: one for each core)")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def recipe(arguments: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{str(out)!r} is there already, expected a new directory", "--out")
    tell = teller(sys.stderr)
    begun = time.monotonic()
    stages: dict[str, dict[str, Any]] = {}
    for name, command in _stages(arguments).items():
        tell(f"vla-train: {name}")
        start = time.monotonic()
        report = _stage(name, command)
        stages[name] = {"seconds": time.monotonic() - start, "report": report}
        tell(f"vla-train: {name} took {stages[name]['seconds']:.0f} s")
    summary = {
        "robot": arguments.robot,
        "task": arguments.task,
        "seed": arguments.seed,
        "policy": str(_policy(arguments)),
        "success": stages["evaluate"]["report"]["latencies"][0]["success"],
        "seconds": time.monotonic() - begun,
        "stages": stages,
    }
    (out / "report.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(_text(summary), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print_json(summary)
    return 0


def _policy(arguments: argparse.Namespace) -> Path:
    return Path(arguments.out / f"{arguments.task}.onnx")


def _stages(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Stage to the arguments of its module."""
    out, task, seed = arguments.out, arguments.task, str(arguments.seed)
    sizes = RECIPES.get(task, RECIPES["reach"])
    episodes, disturb, steps = (
        getattr(sizes, name) if getattr(arguments, name) is None else getattr(arguments, name)
        for name in ("episodes", "disturb", "steps")
    )
    robot = ["--robot", arguments.robot, "--task", task]
    workers = [] if arguments.workers is None else [str(arguments.workers)]
    train, model, policy = "vla_runtime.cli.train", str(out / "model.pt"), str(_policy(arguments))
    return {
        "collect": [train, "collect", *robot, "--out", str(out / "episodes"), "--episodes", str(episodes),
                    "--seed", seed, "--disturb", str(disturb), *_with("--workers", workers)],
        "train": [train, "bc", "--data", str(out / "episodes"), "--out", model, "--seed", seed,
                  "--steps", str(steps), "--architecture", arguments.architecture,
                  *_with("--threads", workers)],
        "export": ["exporters.cli", model, "--out", policy],
        "evaluate": ["vla_runtime.cli.eval", *robot, "--policy", policy, "--episodes", str(arguments.evaluate),
                     "--latency-ms", arguments.latency_ms, *_with("--workers", workers)],
    }  # fmt: skip


def _with(option: str, values: list[str]) -> list[str]:
    return [option, *values] if values else []


def _stage(name: str, command: list[str]) -> dict[str, Any]:
    """The stage's own report. What it says meanwhile goes to our stderr.

    Raises:
        Refusal, Fault: it ended so; it has said why.
    """
    process = subprocess.Popen([sys.executable, "-m", *command, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except BaseException:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_CLOSING_S)
        process.kill()
        raise
    report: dict[str, Any] = {}
    with suppress(IndexError, ValueError):
        report = json.loads(output.splitlines()[-1])
    if process.returncode:
        kind: Callable[[str], Exception] = Refusal if process.returncode == Refusal.exit_code else Fault
        raise kind(f"{name}: {report.get('cause', f'ended with exit code {process.returncode}')}")
    return report


def _text(summary: dict[str, Any]) -> str:
    """For people."""
    rows = [(name, f"{stage['seconds']:6.0f} s") for name, stage in summary["stages"].items()]
    rows.append(("in all", f"{summary['seconds']:6.0f} s"))
    rows += [
        ("success", f"{entry['successes']} of {entry['episodes']}, {entry['success_low']:.2f} to "
                    f"{entry['success_high']:.2f}, at {entry['latency_ms']:g} ms")
        for entry in summary["stages"]["evaluate"]["report"]["latencies"]
    ]  # fmt: skip
    rows.append(("policy", summary["policy"]))
    return "\n".join(f"{name:<9} {value}" for name, value in rows)
