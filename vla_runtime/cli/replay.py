"""``vla-replay``: does a logged episode still hold?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_runtime.cli.common import command, parser, print_json

if TYPE_CHECKING:
    from vla_runtime.app.replay import Finding

__all__ = ["main"]

_DIFFERS = 1
_EXAMPLES = """\
  vla-replay episodes/arm-*.mcap                       re-execute the control loop, compare every command
  vla-replay episode.mcap --env toy                    replay the executed actions on ToyVLAEnv
  vla-replay episode.mcap --policy new.onnx --json     re-infer every request with another policy
  vla-replay cut.mcap --recover whole.mcap             give a cut file a valid end
  vla-replay episode.mcap --film episode.gif           what the cameras saw, as a film

With --check or --env a difference gives exit code 1."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("vla-replay", "Re-execute, re-infer or replay a logged episode, and compare.", _EXAMPLES)
    options.add_argument("episode", type=Path, help="an episode file (.mcap)")
    options.add_argument("--check", action="store_true", help="re-execute the control loop bit for bit (the default)")
    options.add_argument("--env", choices=("toy",), help="replay the executed actions on this environment")
    options.add_argument("--policy", metavar="FILE", help="re-infer every logged request with this policy file")
    options.add_argument("--recover", type=Path, metavar="OUT", help="write what can be read to a new, whole file")
    options.add_argument("--film", type=Path, metavar="OUT", help="write the camera frames as .gif, .webp or .mp4")
    options.add_argument("--json", action="store_true", help="print the findings as one JSON object on the last line")
    arguments = options.parse_args(argv)
    return command("vla-replay", lambda: _replay(arguments), arguments.json)


def _replay(arguments: argparse.Namespace) -> int:
    from vla_runtime.app.replay import check_loop, policy_for, reinfer, replay_environment
    from vla_runtime.core.errors import PolicyFileError
    from vla_runtime.episode.reader import read_episode

    people = sys.stderr if arguments.json else sys.stdout
    episode = read_episode(arguments.episode)
    print(f"{arguments.episode}: {len(episode.ticks)} ticks, {episode.note}", file=people)
    if arguments.recover is not None:
        from vla_runtime.episode.recover import recover

        report = recover(arguments.episode, arguments.recover)
        print(f"recovered {report.messages} records to {report.out}: {report.note}", file=people)
    if arguments.film is not None:
        from vla_runtime.app.replay.film import write_film

        print(f"{arguments.film}: {write_film([episode], arguments.film)} pictures", file=people)
    findings: dict[str, Finding] = {}
    if arguments.env is not None:
        findings["env"] = replay_environment(episode, arguments.env)
    if arguments.policy is not None:
        if not Path(arguments.policy).is_file():
            raise PolicyFileError(f"there is no policy file {arguments.policy!r}")
        findings["policy"] = reinfer(episode, policy_for(arguments.policy, episode))
    if arguments.check or not (findings or arguments.recover or arguments.film):
        findings["check"] = check_loop(episode)
    for name, finding in findings.items():
        _tell(name, finding, people)
    if arguments.json:
        print_json(_as_json(arguments.episode, episode.truncated, len(episode.ticks), findings))
    differs = any(not findings[name].identical for name in ("check", "env") if name in findings)
    return _DIFFERS if differs else 0


def _tell(name: str, finding: Finding, people: Any) -> None:
    unit = {"check": "ticks", "env": "steps", "policy": "chunks"}[name]
    verdict = "identical" if finding.identical else f"different, by up to {finding.max_abs_error:.3g}"
    print(f"{name}: {finding.compared} {unit} compared, {verdict}", file=people)
    for line in finding.differences:
        print(f"  {line}", file=people)
    for joint, error in finding.details.get("joints", {}).items():
        print(f"  {joint:<16} {error:.3g}", file=people)


def _as_json(path: Path, truncated: bool, ticks: int, findings: dict[str, Finding]) -> dict[str, Any]:
    return {
        "episode": str(path),
        "ticks": ticks,
        "truncated": truncated,
        "identical": all(finding.identical for finding in findings.values()),
        "max_abs_error": max((finding.max_abs_error for finding in findings.values()), default=0.0),
        "findings": {
            name: {
                "compared": finding.compared,
                "identical": finding.identical,
                "max_abs_error": finding.max_abs_error,
                "differences": finding.differences,
                **finding.details,
            }
            for name, finding in findings.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
