"""Every test that docs/traps-torchrl.md names is there, and every trap has one."""

import re

from .markdown import ROOT

PAGE = (ROOT / "docs" / "traps-torchrl.md").read_text()
TESTS = {
    name: file.name
    for file in sorted((ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
}


def test_every_trap_names_a_test_that_there_is() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| trap")]
    assert len(table) >= 18
    for line in table:
        named = re.findall(r"`(test_\w+)`", line.split("|")[-2])
        assert named, line
        assert set(named) <= set(TESTS), named


def test_every_test_of_a_trap_is_on_the_page() -> None:
    traps = {name for name, file in TESTS.items() if file.startswith("test_traps_") and file != "test_traps_page.py"}
    unnamed = traps - set(re.findall(r"`(test_\w+)`", PAGE))
    assert unnamed == {"test_an_episode_that_ends_inside_a_chunk_stays_where_it_ended"}
