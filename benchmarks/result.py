"""What the benchmarks share: their options, reading a command's report, and where the figures go."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).resolve().parents[1] / "build" / "bench"


def options(description: str | None, **numbers: int) -> argparse.ArgumentParser:
    """A parser with ``--json`` and one option for each of ``numbers``, which are the defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    return parser


def last_line(output: str) -> dict[str, Any]:
    """The JSON object on the last line of a command's standard output."""
    found = json.loads(output.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def report(module: str, *arguments: object) -> dict[str, Any]:
    """Run a command's module with ``--json`` and return what it reports."""
    command = [sys.executable, "-m", module, *map(str, arguments), "--json"]
    return last_line(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def leave(name: str, figures: dict[str, Any], as_json: bool, directory: Path = DIRECTORY) -> None:
    """Write ``figures`` to ``<name>.json`` in ``directory`` and print them; for scripts as the last line of stdout."""
    figures = {"benchmark": name, "cores": os.cpu_count(), "python": platform.python_version(), **figures}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    people = sys.stderr if as_json else sys.stdout
    for key, value in figures.items():
        print(f"{key:<28} {value}", file=people)
    if as_json:
        print(json.dumps(figures))
