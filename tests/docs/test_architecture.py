"""docs/architecture.md shows the loop, the modes, the layers and the refusals as they are."""

from __future__ import annotations

import inspect
import re
import textwrap

from vla_runtime.control.loop import ControlLoop
from vla_runtime.control.mode import COMMANDING, Mode
from vla_runtime.control.safety import JointLimits, default_chain
from vla_runtime.control.scheduler import Scheduler

from .markdown import ROOT, blocks, rows, section

PAGE = ROOT / "docs" / "architecture.md"


def test_the_loop_is_shown_as_it_stands() -> None:
    (shown,) = blocks(PAGE, "python")
    body = textwrap.dedent(inspect.getsource(ControlLoop.tick)).partition('"""\n')[2]
    assert shown.text == textwrap.dedent(body)


def test_every_mode_has_its_row_and_only_those_that_command_send() -> None:
    table = rows(section(PAGE, "## Modes"))
    shown = {name.strip("`"): sends for row in table for name in row[0].split(", ") for sends in row[1:2]}
    assert set(shown) == {mode.value for mode in Mode}
    assert {name for name, sends in shown.items() if sends != "nothing"} == {mode.value for mode in COMMANDING}


def test_the_rules_are_named_in_the_order_in_which_they_apply() -> None:
    import numpy as np

    one = np.ones(1)
    chain = default_chain(JointLimits(("j",), -one, one, one), 10_000_000)
    assert f"`{' → '.join(rule.name for rule in chain._rules)}`" in section(PAGE, "## Safety rules")


def test_the_layers_are_those_that_are_enforced() -> None:
    (shown,) = [block.text for block in blocks(PAGE, "") if ">" in block.text]
    enforced = []
    for layers in re.findall(r"^layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL):
        names = re.findall(r'"([^"]+)"', layers)
        enforced.append([name.replace("vla_runtime.", "") for name in names])
    assert [re.split(r"\s+>\s+", line) for line in shown.splitlines()] == enforced


def test_every_kind_of_refused_chunk_is_in_the_json_page() -> None:
    kinds = re.findall(r'return f"([a-z0-9 ]+): ', inspect.getsource(Scheduler._refusal))
    (row,) = [line for line in (ROOT / "docs" / "json.md").read_text().splitlines() if "`refusals.<kind>`" in line]
    assert re.findall(r"`([a-z ]+)`", row.partition("by kind")[2]) == kinds
