"""What the pages mention exists: links, options, make targets, programs in the units."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from .markdown import PAGES, ROOT, anchors, links, run

PROGRAMS = ("vla-run", "vla-host", "vla-replay", "vla-eval", "vla-train", "vla-export")
SUBCOMMANDS = {"vla-train": ("bc", "collect", "grpo", "inspect", "store")}
UNITS = sorted((ROOT / "deploy").glob("*.service"))
by_name = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


@cache
def options(program: str) -> frozenset[str]:
    """Every long option of ``program``, its subcommands' included."""
    texts = [run(f"{program} {more} --help", ROOT).stdout for more in ("", *SUBCOMMANDS.get(program, ()))]
    return frozenset(re.findall(r"--[a-z][a-z-]*", "".join(texts)))


def code(page: Path) -> list[str]:
    """The page's commands: lines of fenced blocks and spans of code, joined lines joined."""
    text = page.read_text().replace("\\\n", " ")
    fenced = re.findall(r"^```\S*.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in fenced for line in block.splitlines()] + spans


@by_name
def test_relative_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if fragment:
            assert fragment in anchors(target), f"{page.name} links to {link}"


@by_name
def test_every_option_after_a_program_is_one_it_has(page: Path) -> None:
    for line in code(page):
        for command in re.split(r"&&|\||;", line):
            words = command.split()
            programs = [word.rpartition("/")[2] for word in words if word.rpartition("/")[2] in PROGRAMS]
            given = {re.split("=", word)[0] for word in words if word.startswith("--")}
            if len(programs) == 1:
                assert given <= options(programs[0]), f"{page.name}: {command}"


@by_name
def test_every_option_named_alone_belongs_to_some_program(page: Path) -> None:
    known = frozenset().union(*map(options, PROGRAMS)) | {"--help"}
    for span in code(page):
        if match := re.match(r"--[a-z][a-z-]*", span):
            assert match.group() in known, f"{page.name}: {span}"


@by_name
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match.group(1) for line in code(page) if (match := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


@by_name
def test_lines_are_at_most_120_wide_outside_tables_and_code(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]


def test_every_program_has_a_section_in_the_json_page_and_a_row_in_the_readme() -> None:
    for program in PROGRAMS:
        assert f"\n## {program}\n" in (ROOT / "docs" / "json.md").read_text()
        assert f"| `{program} " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_program_of_ours_with_options_that_it_has(unit: Path) -> None:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(unit)
    program, *words = parsed["Service"]["ExecStart"].split()
    assert {word for word in words if word.startswith("--")} <= options(Path(program).name)
    assert parsed["Service"]["ProtectSystem"] == "strict"


def test_the_units_pass_systemds_own_check_where_there_is_one(tmp_path: Path) -> None:
    """With our programs in place of the installed ones, since their being there is part of the check."""
    assert [unit.name for unit in UNITS] == ["vla-host@.service", "vla-run@.service"]
    names = []
    for unit in UNITS:
        text = unit.read_text().replace("/opt/vla/bin", str(Path(sys.executable).parent))
        names.append(unit.name.replace("@", "@arm"))
        for name in (unit.name, names[-1]):
            (tmp_path / name).write_text(text)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", *(f"./{name}" for name in names)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not [line for line in done.stderr.splitlines() if "vla-" in line], done.stderr


def test_the_pictures_text_stays_inside_its_frame() -> None:
    """Roughly: every text begins inside the view box, and the picture is XML that a viewer can read."""
    from xml.etree import ElementTree

    svg = ElementTree.parse(ROOT / "docs" / "overview.svg").getroot()
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    texts = svg.findall(".//{http://www.w3.org/2000/svg}text")
    assert len(texts) > 20
    assert all(0 < float(text.attrib["x"]) < width and 0 < float(text.attrib["y"]) < height for text in texts)
