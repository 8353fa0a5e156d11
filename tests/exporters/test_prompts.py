"""However a file is told what to do, it does what the policy that was trained does for the same text."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from exporters.export import FORMATS, export
from exporters.gate import batch_inputs
from exporters.told import told
from vla_runtime.core.errors import ContractMismatch, PolicyFileError
from vla_runtime.core.protocols import Policy
from vla_runtime.learn.infer import eager_chunk
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy
from vla_runtime.testing import PolicyContract

from .conftest import _build

KINDS = {"tokens": ("onnx", "torchscript"), "fixed": ("onnx",), "table": ("torchscript",)}
OPENED = {"onnx": OnnxPolicy, "torchscript": TorchScriptPolicy}
CASES = [("act", "continuous", "tokens"), ("tiny", "tokens", "fixed"), ("tiny", "tokens", "table")]
FIXED = "go right"


def made(architecture: str, head: str, prompt: str):
    checkpoint = _build(head, {"wrist": (12, 20), "front": (12, 20)}, architecture=architecture)
    return told(checkpoint, prompt, FIXED if prompt == "fixed" else None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """One policy for each prompt, each format at least once."""
    found = {}
    for architecture, head, prompt in CASES:
        folder = tmp_path_factory.mktemp(prompt)
        found[prompt] = {kind: folder / f"policy{FORMATS[kind].suffix}" for kind in KINDS[prompt]}
        export(made(architecture, head, prompt), found[prompt])
    return found


@pytest.mark.parametrize(
    ("architecture", "head", "prompt", "kind"), [(*case, kind) for case in CASES for kind in KINDS[case[-1]]]
)
def test_the_robot_gets_for_each_text_what_the_trained_policy_answers(files, architecture, head, prompt, kind) -> None:
    checkpoint = _build(head, {"wrist": (12, 20), "front": (12, 20)}, architecture=architecture)
    policy = OPENED[kind](files[prompt][kind])
    images, state, _ = batch_inputs(checkpoint.spec, 1, 3)
    texts = policy.spec.instruction.texts
    assert texts == ((FIXED,) if prompt == "fixed" else checkpoint.spec.instruction.texts)
    answers = []
    for text in texts:
        one = {name: image[0] for name, image in images.items()}
        given = policy.infer(one, state[0], policy.spec.instruction.encode(text))
        expected = eager_chunk(checkpoint.policy, checkpoint.spec, images, state, [text])[0]
        assert np.abs(given - expected).max() <= 1e-5
        answers.append(given)
    assert all(np.abs(other - answers[0]).max() > 1e-5 for other in answers[1:])
    with pytest.raises(ContractMismatch, match="not one the policy was trained on"):
        policy.spec.instruction.encode("go nowhere")


@pytest.mark.parametrize("prompt", ["fixed", "tokens"])
def test_the_graph_has_the_input_that_its_contract_says(files, prompt: str) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(files[prompt]["onnx"]), providers=["CPUExecutionProvider"])
    found = {entry.name: entry.shape[1:] for entry in session.get_inputs() if entry.name.startswith("instruction")}
    longest = max(len(text) for text in ("go left", "go right", "go home"))
    assert found == {"fixed": {}, "tokens": {"instruction_tokens": [longest]}}[prompt]


class ToldContract(PolicyContract):
    prompt, kind = "tokens", "onnx"

    @pytest.fixture(autouse=True)
    def file(self, files: dict[str, dict[str, Path]]) -> None:
        self.path = files[self.prompt][self.kind]

    def make(self) -> Policy:
        return OPENED[self.kind](self.path)


class TestOnnxOfTokens(ToldContract):
    pass


class TestOnnxOfAFixedPrompt(ToldContract):
    prompt = "fixed"


class TestTorchScriptOfTokens(ToldContract):
    kind = "torchscript"


def test_a_file_whose_contract_promises_another_input_is_refused(files, tmp_path: Path) -> None:
    import onnx

    from vla_runtime.core.spec import METADATA_KEY, PolicySpec

    model = onnx.load(str(files["fixed"]["onnx"]))
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    spec = PolicySpec.from_json(entry.value)
    other = OnnxPolicy(files["tokens"]["onnx"]).spec.instruction
    entry.value = msgspec.structs.replace(spec, instruction=other).to_json().decode()
    onnx.save(model, str(tmp_path / "mixed.onnx"))
    with pytest.raises(PolicyFileError, match="its contract says"):
        OnnxPolicy(tmp_path / "mixed.onnx")


@pytest.mark.parametrize("kind", sorted(OPENED))
def test_tokens_in_another_order_in_the_contract_miss_the_golden_sample(files, kind: str) -> None:
    policy = OPENED[kind](files["tokens"][kind])
    assert check_golden(policy) <= 1e-5
    instruction = policy.spec.instruction
    turned = msgspec.structs.replace(instruction, tokens=instruction.tokens[::-1])
    policy.spec = msgspec.structs.replace(policy.spec, instruction=turned)
    with pytest.raises(PolicyFileError, match="does not reproduce its golden sample"):
        check_golden(policy)


@pytest.mark.parametrize(
    ("architecture", "prompt", "instruction", "message"),
    [
        ("tiny", "tokens", None, "needs a policy with a text encoder"),
        ("tiny", "fixed", None, "say which: 'go left', 'go right', 'go home'"),
        ("tiny", "fixed", "go rihgt", "did you mean 'go right'"),
        ("tiny", None, "go right", "is for a fixed prompt"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused(build, architecture, prompt, instruction, message) -> None:
    with pytest.raises(PolicyFileError, match=message):
        told(build(architecture=architecture), prompt, instruction)
