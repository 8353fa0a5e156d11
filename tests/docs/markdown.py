"""Reads what a test needs out of our Markdown: fenced blocks, links, tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..patience import patient

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "deploy" / "README.md"])

_FENCE = re.compile(r"^```(\S*)[ ]?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what follows the language on the fence line, and its text."""

    language: str
    info: str
    text: str


def blocks(page: Path, language: str) -> list[Block]:
    found = [Block(*groups) for groups in _FENCE.findall(page.read_text())]
    return [block for block in found if block.language == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """What stands under ``heading`` up to the next heading of its rank or above."""
    rank = len(heading) - len(heading.lstrip("#"))
    _, found, rest = page.read_text().partition(f"\n{heading}\n")
    assert found, f"{page.name} has no section {heading!r}"
    return re.split(rf"^#{{1,{rank}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows in ``text`` whose first cell is `code`, the backticks taken off that cell."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    return [[first.strip("`"), *rest] for first, *rest in cells]


def write_modules(page: Path, directory: Path) -> None:
    """Write every block whose first line is ``# path/of/a/file`` to that file."""
    for language in ("python", "yaml"):
        for block in blocks(page, language):
            if name := re.match(r"# (\S+\.(py|yaml))\n", block.text):
                path = directory / name.group(1)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)


def environment(*path: Path) -> dict[str, str]:
    """Ours, with our programs first in PATH and ``path`` importable in every child."""
    programs = Path(sys.executable).parent
    modules = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": ":".join(modules)}


def patiently(command: str, directory: Path) -> str:
    """``command`` with each robot's config replaced by one whose timeouts take no busy test machine for a dead peer."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        config = next(
            (path for path in (ROOT / f"robot_configs/{name}.yaml", directory / name) if path.is_file()), None
        )
        if config is None:
            return match.group()
        slow = patient(config, directory / f"patient-{config.name}", dead_man_ms=500)
        return f"--robot {slow}"

    return re.sub(r"--robot (\S+)", replace, command)


def run(command: str, directory: Path, *path: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a bash ``command`` in ``directory``, ``patiently``; shows its output if it does not end as expected."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", patiently(command, directory)],
        cwd=directory,
        env=environment(*path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == expect, f"{command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done
