"""What is written equals what was trained, for every head, camera count, format and batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporters.export import FORMATS, export
from exporters.gate import BATCH_SIZES, batch_inputs
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.learn.infer import eager_chunk
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy

CAMERAS = {
    "one": {"image": (12, 20)},
    "two": {"front": (12, 20), "wrist": (12, 20)},
    "unsorted": {"wrist": (12, 20), "front": (12, 20)},
    "of two sizes": {"wrist": (12, 20), "front": (33, 9)},
}
KINDS = [("tiny", "continuous"), ("tiny", "tokens"), ("visuomotor", "continuous")]
CASES = [(*kind, name) for kind in KINDS for name in CAMERAS if kind[0] == "visuomotor" or name != "of two sizes"]


def ids_of(spec, texts):
    return np.array([spec.instruction.encode(text) for text in texts])


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(("architecture", "head", "cameras"), CASES)
def test_a_written_file_equals_the_eager_policy(
    tmp_path: Path, build, architecture: str, head: str, cameras: str, kind: str
) -> None:
    checkpoint = build(head, CAMERAS[cameras], architecture=architecture)
    done = export(checkpoint, {kind: tmp_path / "policy"})[kind]
    assert done.max_abs_error <= 1e-5
    assert done.golden_error <= 1e-5
    runner = FORMATS[kind].open(done.path)
    assert FORMATS[kind].contract(done.path).checkpoint_sha256 == checkpoint.sha256
    answers = []
    for batch in (*BATCH_SIZES, 5):
        images, state, texts = batch_inputs(checkpoint.spec, batch, 11)
        expected = eager_chunk(checkpoint.policy, checkpoint.spec, images, state, texts)
        given = runner(images, state, ids_of(checkpoint.spec, texts))
        assert given.shape == (batch, 8, 4)
        assert given.dtype == np.float32
        assert np.abs(given - expected).max() <= 1e-5
        answers.append(given[0])
    assert not np.allclose(answers[0], answers[1], atol=1e-3)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize("architecture", ["tiny", "visuomotor"])
def test_every_input_counts(tmp_path: Path, build, architecture: str, kind: str) -> None:
    checkpoint = build("continuous", ("front", "wrist"), architecture=architecture)
    path = export(checkpoint, {kind: tmp_path / "policy"})[kind].path
    runner = FORMATS[kind].open(path)
    images, state, texts = batch_inputs(checkpoint.spec, 1, 0)
    ids = ids_of(checkpoint.spec, texts)
    expected = runner(images, state, ids)

    def differs(images, state, ids) -> bool:
        return float(np.abs(runner(images, state, ids) - expected).max()) > 1e-4

    assert differs({"front": images["wrist"], "wrist": images["front"]}, state, ids)
    assert differs(images | {"front": images["front"][:, ::-1]}, state, ids)
    assert differs(images | {"front": images["front"][..., ::-1]}, state, ids)
    assert differs(images, state + 0.1, ids)
    assert differs(images, state, ids + 1)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(("architecture", "head"), KINDS)
def test_the_golden_sample_is_what_the_file_infers(
    tmp_path: Path, build, architecture: str, head: str, kind: str
) -> None:
    path = export(build(head, architecture=architecture), {kind: tmp_path / "policy"})[kind].path
    spec = FORMATS[kind].contract(path)
    images = {name: image[None] for name, image in golden_images(spec).items()}
    given = FORMATS[kind].open(path)(images, golden_state(spec)[None], ids_of(spec, [spec.golden.instruction]))
    assert np.abs(given[0] - np.array(spec.golden.actions)).max() <= 1e-5
    assert spec.exporter.startswith("vla-runtime ")
    assert {"torch", "torchrl", "onnx", "onnxruntime"} <= spec.libraries.keys()


def test_the_file_names_no_path_of_the_exporting_machine(tmp_path: Path, checkpoint) -> None:
    data = export(checkpoint, {"onnx": tmp_path / "policy.onnx"})["onnx"].path.read_bytes()
    for trace in (b".py", str(Path(__file__).parents[2]).encode(), b"site-packages"):
        assert trace not in data


def test_the_torchscript_policy_answers_one_request(tmp_path: Path, build) -> None:
    checkpoint = build("continuous", ("wrist", "front"))
    path = export(checkpoint, {"torchscript": tmp_path / "policy.ts"})["torchscript"].path
    policy = TorchScriptPolicy(path)
    images, state, texts = batch_inputs(checkpoint.spec, 1, 4)
    expected = eager_chunk(checkpoint.policy, checkpoint.spec, images, state, texts)[0]
    one = {name: image[0] for name, image in reversed(images.items())}
    given = policy.infer(one, state[0], checkpoint.spec.instruction.encode(texts[0]))
    assert given.shape == (8, 4)
    assert np.abs(given - expected).max() <= 1e-5
    assert len(policy.hash) == 16
    policy.close()


@pytest.mark.parametrize("side", [96, 224])
def test_a_visuomotor_policy_with_two_cameras_is_a_small_file(tmp_path: Path, build, side: int) -> None:
    checkpoint = build("continuous", ("front", "wrist"), (side, side), "visuomotor", sizes={})
    assert export(checkpoint, {"onnx": tmp_path / "policy.onnx"})["onnx"].size_bytes <= 2_000_000
