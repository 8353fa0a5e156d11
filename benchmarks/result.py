"""Where a benchmark leaves its figures: ``build/bench/<name>.json`` and, for scripts, the last line of stdout."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).resolve().parents[1] / "build" / "bench"


def leave(name: str, figures: dict[str, Any], as_json: bool) -> None:
    """Write ``figures`` and print them."""
    figures = {"benchmark": name, "cores": os.cpu_count(), "python": platform.python_version(), **figures}
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    people = sys.stderr if as_json else sys.stdout
    for key, value in figures.items():
        print(f"{key:<28} {value}", file=people)
    if as_json:
        print(json.dumps(figures))
