"""``vla-train inspect``: what a data set holds, as training would see it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.common import help_format, print_json, teller
from vla_runtime.cli.set_options import add_set_options, set_options_of
from vla_runtime.core.errors import MissingExtra

if TYPE_CHECKING:
    from vla_runtime.learn.sets.source import Source

__all__ = ["add_inspect", "inspect"]

_EXAMPLES = """\
  vla-train inspect so100_pick                                    a LeRobot data set, v2.0, v2.1 or v3.0
  vla-train inspect so100_pick --read --json                      and decode all of it, to see that it is whole
  vla-train inspect cmu_stretch --rate-hz 10                      Open X-Embodiment, which does not say its rate
  vla-train inspect fractal --rate-hz 3 --state base_pose_tool_reached gripper_closed

Data sets are read from local directories; nothing is downloaded."""


def add_inspect(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    about = "Say what a data set holds: episodes, steps, cameras, names, instructions."
    options = methods.add_parser("inspect", help="what a data set holds", **help_format(about, _EXAMPLES))
    options.add_argument("data", type=Path, metavar="DIR", help="the data set's directory")
    options.add_argument("--read", action="store_true", help="read every episode, with its images; names what is wrong")
    add_set_options(options)
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def inspect(arguments: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    try:
        from vla_runtime.learn.sets.open import kind_of, open_with
        from vla_runtime.learn.sets.options import SetOptions
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error

    source = open_with(arguments.data, set_options_of(arguments) or SetOptions())
    read = _read(source) if arguments.read else 0
    report = {"data": str(arguments.data), "kind": kind_of(arguments.data), **_report(source), "read": read}
    print(_text(report), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print_json(report)
    return 0


def _read(source: Source) -> int:
    """Read all episodes; the first that cannot be read ends the command."""
    tell, count = teller(sys.stderr), len(source.lengths)
    for episode in range(count):
        source.read(episode)
        if (episode + 1) % 100 == 0:
            tell(f"vla-train: read {episode + 1} of {count} episodes")
    return count


def _report(source: Source) -> dict[str, Any]:
    facts, lengths = source.facts, source.lengths
    return {
        "name": facts.name,
        "episodes": len(lengths),
        "steps": sum(lengths),
        "shortest": min(lengths),
        "longest": max(lengths),
        "seconds": sum(lengths) * facts.dt_ns / 1e9,
        "dt_ns": facts.dt_ns,
        "actions": list(facts.actions),
        "state": list(facts.state),
        "cameras": {name: {"height": height, "width": width} for name, (height, width) in facts.cameras.items()},
        "instructions": list(facts.instructions),
    }


def _text(report: dict[str, Any]) -> str:
    """For people."""
    cameras = [f"{name} {size['height']}x{size['width']}" for name, size in report["cameras"].items()]
    texts = report["instructions"]
    rows = [
        ("kind", report["kind"]),
        ("episodes", f"{report['episodes']}, of {report['shortest']} to {report['longest']} steps"),
        ("steps", f"{report['steps']}, {report['seconds']:.1f} s, {1e9 / report['dt_ns']:.4g} a second"),
        ("actions", ", ".join(report["actions"])),
        ("state", ", ".join(report["state"])),
        ("cameras", ", ".join(cameras) or "none"),
        ("instructions", "; ".join(texts[:5]) + (f"; and {len(texts) - 5} more" if len(texts) > 5 else "")),
    ]
    if report["read"]:
        rows.append(("read", f"all {report['read']} episodes are whole"))
    return "\n".join(f"{name:<13} {value}" for name, value in rows)
