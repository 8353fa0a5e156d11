"""What is written equals what was trained, for every head, camera count, format and batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporters.export import FORMATS, export
from exporters.gate import BATCH_SIZES, batch_inputs, sampling_inputs
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.learn.infer import eager_chunk
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy

CAMERAS = {
    "one": {"image": (12, 20)},
    "two": {"front": (12, 20), "wrist": (12, 20)},
    "unsorted": {"wrist": (12, 20), "front": (12, 20)},
    "of two sizes": {"wrist": (12, 20), "front": (33, 9)},
}
KINDS = [("tiny", "continuous"), ("tiny", "tokens"), ("visuomotor", "continuous"), ("flow", "flow")]
CASES = [(*kind, name) for kind in KINDS for name in CAMERAS if kind[0] != "tiny" or name != "of two sizes"]
CASES.append(("act", "continuous", "of two sizes"))


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
        sampling = sampling_inputs(checkpoint.spec, batch, 4)
        expected = eager_chunk(checkpoint.policy, checkpoint.spec, images, state, texts, **sampling)
        given = runner(images, state, ids_of(checkpoint.spec, texts), sampling)
        assert given.shape == (batch * (3 if sampling else 1), 8, 4)
        assert given.dtype == np.float32
        assert np.abs(given - expected).max() <= 1e-5
        answers.append(given[0])
    assert not np.allclose(answers[0], answers[1], atol=1e-3)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(("architecture", "head"), [kind for kind in KINDS if kind[1] != "tokens"])
def test_every_input_counts(tmp_path: Path, build, architecture: str, head: str, kind: str) -> None:
    checkpoint = build(head, ("front", "wrist"), architecture=architecture)
    path = export(checkpoint, {kind: tmp_path / "policy"})[kind].path
    runner = FORMATS[kind].open(path)
    images, state, texts = batch_inputs(checkpoint.spec, 1, 0)
    ids = ids_of(checkpoint.spec, texts)
    sampling = sampling_inputs(checkpoint.spec, 1, 1)
    expected = runner(images, state, ids, sampling)

    def differs(images, state, ids, **changed) -> bool:
        return float(np.abs(runner(images, state, ids, sampling | changed) - expected).max()) > 1e-5

    assert differs({"front": images["wrist"], "wrist": images["front"]}, state, ids)
    assert differs(images | {"front": images["front"][:, ::-1]}, state, ids)
    assert differs(images | {"front": images["front"][..., ::-1]}, state, ids)
    assert differs(images, state + 0.1, ids)
    assert differs(images, state, ids + 1)
    for name, value in sampling.items():
        assert differs(images, state, ids, **{name: value + 1})


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(("architecture", "head"), KINDS)
def test_the_golden_sample_is_what_the_file_infers(
    tmp_path: Path, build, architecture: str, head: str, kind: str
) -> None:
    path = export(build(head, architecture=architecture), {kind: tmp_path / "policy"})[kind].path
    spec = FORMATS[kind].contract(path)
    images = {name: image[None] for name, image in golden_images(spec).items()}
    noise = np.random.RandomState(0).standard_normal((1, 1, 8, 4)).astype(np.float32)
    nothing = {"prev_chunk": np.zeros((1, 8, 4), np.float32), "delay": np.array([0]), "noise": noise}
    nothing["prefix_weights"] = np.zeros((1, 8), np.float32)
    ids = ids_of(spec, [spec.golden.instruction])
    given = FORMATS[kind].open(path)(images, golden_state(spec)[None], ids, nothing if head == "flow" else {})
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


def test_a_file_that_continues_nothing_is_the_same_policy(tmp_path: Path, build) -> None:
    checkpoint = build("flow", CAMERAS["of two sizes"], architecture="flow")
    free, held = tmp_path / "free", tmp_path / "held"
    export(checkpoint, {"onnx": free}, continues=False)
    export(checkpoint, {"onnx": held})
    for batch in (1, 3):
        images, state, texts = batch_inputs(checkpoint.spec, batch, 2)
        sampling = sampling_inputs(checkpoint.spec, batch, 1)
        nothing = {name: value if name == "noise" else 0 * value for name, value in sampling.items()}
        ids = ids_of(checkpoint.spec, texts)
        made = FORMATS["onnx"].open(free)(images, state, ids, {"noise": sampling["noise"]})
        assert np.array_equal(
            made, FORMATS["onnx"].open(held)(images, state, ids, nothing | {"delay": np.zeros_like(ids)})
        )
        assert not np.isclose(made, FORMATS["onnx"].open(held)(images, state, ids, sampling)).all()


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_the_rows_of_the_prefix_leave_the_graph_as_they_were_given(tmp_path: Path, build, kind: str) -> None:
    checkpoint = build("flow", architecture="flow")
    runner = FORMATS[kind].open(export(checkpoint, {kind: tmp_path / "policy"})[kind].path)
    images, state, texts = batch_inputs(checkpoint.spec, 5, 1)
    sampling = sampling_inputs(checkpoint.spec, 5, 1)
    made = runner(images, state, ids_of(checkpoint.spec, texts), sampling).reshape(5, 3, 8, 4)
    for row, delay in enumerate(sampling["delay"]):
        given = sampling["prev_chunk"][row, :delay]
        assert np.abs(made[row, :, :delay] - given).max(initial=0) <= 1e-6 * max(1.0, np.abs(given).max(initial=0))
