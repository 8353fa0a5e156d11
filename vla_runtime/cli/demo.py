"""``vla-demo``: see a robot's policy at work."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vla_runtime.cli.common import command, parser, print_json, teller

__all__ = ["main"]

_NOT_ALL = 1
_EXAMPLES = """\
  vla-demo                                          the simulated arm, every instruction its policy knows
  vla-demo --instruction "reach the red block" --seed 1000011
  vla-demo --robot my_arm.yaml --policy model.onnx --out demo

It leaves an episode for each instruction, report.json and film.gif. An instruction not done gives exit code 1."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("vla-demo", "Run a robot's policy on every instruction, from the same beginning.", _EXAMPLES)
    options.add_argument("--robot", default="arm", metavar="R", help="a shipped robot's name or a YAML file (arm)")
    options.add_argument("--policy", metavar="FILE", help="a policy file instead of the config's")
    options.add_argument("--instruction", action="append", default=[], metavar="TEXT", help="this one; may be repeated")
    options.add_argument("--seed", type=int, default=1_000_007, help="which beginning (default 1000007)")
    options.add_argument("--seconds", type=float, default=20.0, metavar="S", help="the longest episode (default 20)")
    options.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to leave things (demo)")
    options.add_argument("--json", action="store_true", help="print the report as one JSON object on the last line")
    arguments = options.parse_args(argv)

    def body() -> int:
        from vla_runtime.app.demo import DemoOptions, demonstrate

        people = sys.stderr if arguments.json else sys.stdout
        asked = DemoOptions(
            robot=arguments.robot,
            out=arguments.out,
            seed=arguments.seed,
            instructions=tuple(arguments.instruction),
            policy=arguments.policy,
            seconds=arguments.seconds,
        )
        report = demonstrate(asked, teller(people))
        print(report.as_text(), file=people)
        if arguments.json:
            print_json(report.as_json())
        return 0 if report.successes == len(report.runs) else _NOT_ALL

    return command("vla-demo", body, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
