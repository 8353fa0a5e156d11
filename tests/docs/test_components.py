"""docs/components.md has a row for every component of torchrl's VLA stack, and tells no tales."""

import re

import pytest

from .markdown import ROOT, rows

PAGE = (ROOT / "docs" / "components.md").read_text()
COMPONENTS = (
    "OBSERVATION_KEY", "IMAGE_KEY", "STATE_KEY", "INSTRUCTION_KEY", "ACTION_KEY", "ACTION_CHUNK_KEY",
    "ACTION_IS_PAD_KEY", "ACTION_TOKENS_KEY", "validate_vla_tensordict", "RobotDatasetMetadata",
    "OpenXExperienceReplay", "LeRobotExperienceReplay", "ActionChunkTransform", "ActionScaling",
    "ActionTokenizerTransform", "SuccessReward", "ActionTokenizerBase", "UniformActionTokenizer", "VLAWrapperBase",
    "TinyVLA", "LeRobotPolicyWrapper", "MultiStepActorWrapper", "MultiAction", "ToyVLAEnv", "BCLoss", "ClipPPOLoss",
)  # fmt: skip


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_a_row(component: str) -> None:
    assert [row for row in rows(PAGE) if component in re.findall(r"\w+", row[0])]


def test_every_row_names_code_a_command_and_a_test_that_exists() -> None:
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    for component, used, command, test in rows(PAGE):
        assert re.search(r"\]\(\.\./vla_runtime/\S+\)", used) or component == "ActionTokenizerTransform", component
        assert command.startswith(("`vla-", "`python -m pytest tests/")), component
        assert test.strip("`") in defined, f"{component}: {test}"
