"""The commands of the README do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .markdown import ROOT, blocks, run

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that looks like a checkout to the commands, so that what they write stays out of ours."""
    directory = tmp_path_factory.mktemp("checkout")
    (directory / "robot_configs").symlink_to(ROOT / "robot_configs")
    return directory


def test_the_blocks_marked_run_work_in_order_as_they_stand(checkout: Path) -> None:
    """But for long durations, which are cut to 2 s, and timeouts, which allow for a busy machine."""
    marked = [block.text for block in blocks(README, "bash") if block.info == "run"]
    assert len(marked) == 3
    for commands in marked:
        run(re.sub(r"--duration \d+", "--duration 2", commands), checkout)
    assert list(checkout.glob("episodes/arm-*.mcap"))
    assert (checkout / "model.onnx").is_file()


def test_the_two_commands_come_first() -> None:
    first = README.read_text().partition("## What you get")[0]
    for command in ("pip install", "vla-run --robot tracker", "vla-train bc", "vla-export model.pt"):
        assert command in first


def test_the_shipped_robots_are_the_documented_ones() -> None:
    from vla_runtime.app.load import shipped_robots

    names = re.search(r"shipped config \(([^)]+)\)", README.read_text())
    assert names
    assert re.findall(r"`(\w+)`", names.group(1)) == sorted(shipped_robots())
