"""Every test that docs/safety.md names is there."""

import re

from .markdown import ROOT

PAGE = (ROOT / "docs" / "safety.md").read_text()


def test_every_test_named_as_a_proof_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 9
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert named <= defined, named - defined


def test_every_rule_that_can_intervene_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows[:6] == ["finite", "position", "lead", "velocity", "acceleration", "jerk"]
