"""docs/components.md has every component of torchrl's reference page, used and tested as it says."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass

import pytest

from .markdown import ROOT

PAGE = ROOT / "docs" / "components.md"
COMPONENTS = [
    "OBSERVATION_KEY", "IMAGE_KEY", "STATE_KEY", "INSTRUCTION_KEY", "ACTION_KEY", "ACTION_CHUNK_KEY",
    "ACTION_IS_PAD_KEY", "ACTION_TOKENS_KEY", "RobotDatasetMetadata", "validate_vla_tensordict",
    "OpenXExperienceReplay", "LeRobotExperienceReplay", "ActionChunkTransform", "ActionScaling",
    "ActionTokenizerTransform", "SuccessReward", "ActionTokenizerBase", "UniformActionTokenizer",
    "VocabTailActionTokenizer", "VLAWrapperBase", "TinyVLA", "TinyVLA", "LeRobotPolicyWrapper",
    "MultiStepActorWrapper", "MultiAction", "RayCollector", "ToyVLAEnv", "BCLoss", "ClipPPOLoss",
]  # fmt: skip
"""Those of the page, in the page's order; TinyVLA has two heads."""
PARSERS = {"vla-train": "vla_runtime.cli.train", "vla-run": "vla_runtime.cli.run", "vla-export": "exporters.cli"}


@dataclass(frozen=True)
class Row:
    """A line of a table; ``text`` is that of all the files that it names."""

    component: str
    used_in: list[str]
    commands: list[str]
    test: str

    @property
    def text(self) -> str:
        return "".join((ROOT / name).read_text() for name in [*self.used_in, self.test.partition("::")[0]])


def table() -> list[Row]:
    found = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            component, used_in, command, test = (cell.strip() for cell in line.strip("|").split(" | "))
            files = [name.removeprefix("../") for name in re.findall(r"\]\(([^)]+)\)", used_in)]
            found.append(Row(component.split("`")[1], files, command.strip("`").split(" && "), test.strip("`")))
    return found


by_component = pytest.mark.parametrize("row", table(), ids=lambda row: row.component)


def test_every_component_has_its_row() -> None:
    assert [row.component for row in table()] == COMPONENTS


@by_component
def test_the_files_named_are_there_and_one_of_them_names_the_component(row: Row) -> None:
    assert row.used_in
    assert all(name.startswith(("vla_runtime/", "exporters/")) for name in row.used_in)
    assert re.search(rf"\b{row.component}\b", row.text)


@by_component
def test_the_test_named_is_there(row: Row) -> None:
    name, _, test = row.test.partition("::")
    assert f"\ndef {test}(" in (ROOT / name).read_text()


@by_component
def test_the_command_can_be_given(row: Row) -> None:
    for command in row.commands:
        program, *words = command.split()
        if program == "python":
            assert words[:2] == ["-m", "pytest"]
            assert all((ROOT / name).is_file() for name in words[2:])
        else:
            parsed = importlib.import_module(PARSERS[program])._parser().parse_args(words)
            if recipe := getattr(parsed, "recipe", None):
                assert (ROOT / "robot_configs" / "recipes" / f"{recipe}.yaml").is_file()
