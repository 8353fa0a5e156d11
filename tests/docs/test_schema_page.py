"""docs/schema.md: its code runs and prints what the page says, and its tables are the code's."""

from __future__ import annotations

import contextlib
import io

import pytest

pytest.importorskip("torch")

from vla_runtime.learn.keys import ROOT_KEYS
from vla_runtime.learn.recipes import Recipe

from .markdown import ROOT, blocks, rows, section

PAGE = ROOT / "docs" / "schema.md"


def test_the_code_runs_and_prints_what_the_page_says() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks(PAGE, "python"):
            exec(compile(block.text, str(PAGE), "exec"), {})
    (shown,) = [block.text for block in blocks(PAGE, "") if "schema" in block.text]
    assert printed.getvalue().strip() == shown.strip()


def test_the_two_layouts_are_the_codes() -> None:
    table = {row[0].strip("`"): row[1].strip("`") for row in rows(section(PAGE, "## The two layouts"))}
    assert table == {str(key).replace("'", '"'): root for key, root in ROOT_KEYS.items()}


def test_the_fields_of_the_normalisation_are_the_recipes() -> None:
    fields = [row[0].strip("`") for row in rows(section(PAGE, "## Normalisation"))]
    assert fields == ["scaling", "keep", "clamp"]
    assert set(fields) <= set(Recipe.__dataclass_fields__)
