"""docs/evaluation.md: its commands run, and it defines every number that vla-eval prints."""

from __future__ import annotations

import re
from pathlib import Path

from .markdown import ROOT, blocks, rows, run, section

PAGE = ROOT / "docs" / "evaluation.md"


def test_the_blocks_marked_run_work_as_they_stand(tmp_path: Path) -> None:
    marked = [block.text for block in blocks(PAGE, "bash") if block.info == "run"]
    assert len(marked) == 2
    for commands in marked:
        run(commands, tmp_path)
    assert (tmp_path / "demonstrations" / "track-000004.mcap").is_file()


def test_every_number_of_a_latency_that_needs_it_is_defined() -> None:
    listed = [row[0] for row in rows(section(ROOT / "docs" / "json.md", "## vla-eval"))]
    measured = {match.group(1) for key in listed if (match := re.match(r"latencies\[\]\.(\w+)", key))}
    plain = {"latency_ms", "episodes", "successes", "instructions", "seconds", "ticks", "chunks_used", "refusals",
             "results"}  # fmt: skip
    assert {row[0] for row in rows(section(PAGE, "## The numbers"))} == measured - plain


def test_the_ends_are_the_documented_ones() -> None:
    from typing import get_args

    from vla_runtime.app.evaluate.result import End

    (row,) = [row for row in rows(section(PAGE, "## The numbers")) if row[0] == "ends"]
    assert tuple(re.findall(r"`(\w+)`", row[1])) == get_args(End)


def test_the_documented_constants_are_the_programs_own() -> None:
    from vla_runtime.app.evaluate import FIRST_SEED
    from vla_runtime.app.evaluate.work import EXPERT_CHUNK
    from vla_runtime.app.simulate.disturb import _TIME_CONSTANT_S

    text = PAGE.read_text()
    assert f"{FIRST_SEED} unless given" in text
    assert f"chunks of {EXPERT_CHUNK} rows" in text
    assert f"time constant {_TIME_CONSTANT_S:g} s" in text
