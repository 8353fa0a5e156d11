"""A policy file is opened as what it says it is, or refused as what it is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.spec import METADATA_KEY
from vla_runtime.core.types import Continuation
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy

TOY = Path(__file__).resolve().parents[2] / "robot_configs" / "policies" / "toy.onnx"


@pytest.fixture
def tampered(tmp_path):
    """``tampered(change)`` is the toy policy after ``change(model)``."""
    onnx = pytest.importorskip("onnx")

    def make(change):
        model = onnx.load(str(TOY))
        change(model, onnx)
        path = tmp_path / "tampered.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def refusal(path):
    with pytest.raises(PolicyFileError) as caught:
        check_golden(OnnxPolicy(path))
    return str(caught.value)


def tensor(entries, name):
    return next(entry for entry in entries if entry.name == name).type.tensor_type


def test_the_toy_policy_gives_its_golden_sample():
    policy = OnnxPolicy(TOY)
    assert check_golden(policy) <= policy.spec.golden.tolerance
    assert len(policy.hash) == 16


def test_the_hash_changes_with_a_single_bit(tmp_path):
    data = bytearray(TOY.read_bytes())
    at = data.index(b"checkpoint_sha256") + 25
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    (tmp_path / "other.onnx").write_bytes(data)
    assert OnnxPolicy(tmp_path / "other.onnx").hash != OnnxPolicy(TOY).hash


@pytest.mark.parametrize("data", [b"", b"no model", bytes(1000), b"\x08\x08", TOY.read_bytes()[:-100]])
def test_what_is_no_onnx_file_is_refused_by_name(data, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(data)
    assert "bad.onnx" in refusal(tmp_path / "bad.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(share, tmp_path):
    data = TOY.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: int(share * len(data))])
    assert "cut.onnx" in refusal(tmp_path / "cut.onnx")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    assert "cannot read the policy file" in refusal(tmp_path / "none.onnx")
    assert "cannot read the policy file" in refusal(tmp_path)


def test_a_model_without_a_contract_is_refused_with_the_way_to_get_one(tampered):
    path = tampered(lambda model, onnx: model.metadata_props.pop())
    assert f"holds no policy contract ({METADATA_KEY}); make the file with vla-export" in refusal(path)


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ("", "cannot be read"),
        ("{}", "format_version"),
        ('{"format_version": 2}', "format version 2, this runtime reads 1"),
        ('{"format_version": 1}', "missing required field"),
        ("[" * 5000, "cannot be read"),
    ],
)
def test_a_contract_that_is_none_is_refused(contract, said, tampered):
    def change(model, onnx):
        model.metadata_props[0].value = contract

    assert said in refusal(tampered(change))


def smaller_image(model, onnx):
    tensor(model.graph.input, "image.image").shape.dim[1].dim_value = 15


def longer_state(model, onnx):
    tensor(model.graph.input, "state").shape.dim[1].dim_value = 9


def other_input(model, onnx):
    model.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["batch"]))


@pytest.mark.parametrize("change", [smaller_image, longer_state, other_input])
def test_inputs_that_are_not_the_contracts_are_refused(change, tampered):
    assert "tampered.onnx" in refusal(tampered(change))


def other_dim(text, replacement):
    def change(model, onnx):
        assert text in model.metadata_props[0].value
        model.metadata_props[0].value = model.metadata_props[0].value.replace(text, replacement)

    return change


def test_a_contract_of_another_image_size_is_refused_with_both(tampered):
    said = refusal(tampered(other_dim('"height":16', '"height":15')))
    assert "takes the inputs" in said
    assert "('tensor(uint8)', 16, 16, 3)" in said
    assert "('tensor(uint8)', 15, 16, 3)" in said


def test_a_contract_with_another_camera_is_refused_with_both(tampered):
    said = refusal(tampered(other_dim('"cameras":[{"name":"image"', '"cameras":[{"name":"wrist"')))
    assert "image.image" in said
    assert "image.wrist" in said


def test_a_batch_that_is_fixed_beyond_one_is_refused(tampered):
    def fix(model, onnx):
        for entry in model.graph.input:
            entry.type.tensor_type.shape.dim[0].Clear()
            entry.type.tensor_type.shape.dim[0].dim_value = 2

    said = refusal(tampered(fix))
    assert "takes the inputs" in said
    assert "('tensor(float)', 2, 8)" in said


def test_changed_weights_fail_the_golden_sample(tampered):
    def change(model, onnx):
        weights = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
        weights.raw_data = (np.frombuffer(weights.raw_data, np.float32) * 1.5).tobytes()

    assert "does not reproduce its golden sample" in refusal(tampered(change))


def test_weights_that_are_not_finite_fail_the_golden_sample(tampered):
    def change(model, onnx):
        weights = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
        weights.raw_data = np.full(len(weights.raw_data) // 4, np.nan, np.float32).tobytes()

    assert "does not reproduce its golden sample" in refusal(tampered(change))


def test_a_file_without_a_golden_sample_is_refused(tampered):
    import json

    def change(model, onnx):
        contract = json.loads(model.metadata_props[0].value)
        del contract["golden"]
        model.metadata_props[0].value = json.dumps(contract)

    assert "holds no golden sample" in refusal(tampered(change))


def test_an_input_that_does_not_fit_is_our_error_and_not_the_runtimes():
    policy = OnnxPolicy(TOY)
    with pytest.raises(PolicyFileError, match="cannot be run"):
        policy.infer(golden_images(policy.spec), golden_state(policy.spec)[:3], 13)


def test_the_runtime_reports_to_nobody(tmp_path):
    """Its telemetry leaves a session file in the temporary directory as soon as it is imported."""
    environ = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    code = "import sys, vla_runtime.plugins.policies.onnx as o; o.OnnxPolicy(o.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, str(TOY)], env=environ | {"TMPDIR": str(tmp_path)}, check=True, timeout=60
    )
    assert [*tmp_path.iterdir()] == []


def continuing(model, onnx):
    """The toy policy plus its previous chunk."""
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["fresh" if name == output.name else name for name in node.output]
    previous = onnx.helper.make_tensor_value_info("prev_chunk", onnx.TensorProto.FLOAT, ["batch", 8, 4])
    model.graph.input.append(previous)
    model.graph.node.append(onnx.helper.make_node("Add", ["fresh", "prev_chunk"], [output.name]))


def test_a_graph_that_takes_the_previous_chunk_is_given_it(tampered):
    policy, plain = OnnxPolicy(tampered(continuing)), OnnxPolicy(TOY)
    check_golden(policy)
    assert (policy.samples, policy.continues, policy.rtc) == (False, True, "off")
    assert (plain.samples, plain.continues, plain.rtc) == (False, False, "off")
    images, state = golden_images(plain.spec), golden_state(plain.spec)
    previous = np.arange(32, dtype=np.float32).reshape(8, 4)
    told = Continuation(previous, 3, np.ones(8, dtype=np.float32))
    found = policy.infer(images, state, 0, continuation=told)
    assert np.array_equal(found, plain.infer(images, state, 0) + previous)


def test_a_previous_chunk_of_another_shape_is_refused(tampered):
    def wrong(model, onnx):
        continuing(model, onnx)
        tensor(model.graph.input, "prev_chunk").shape.dim[1].dim_value = 1

    assert "prev_chunk" in refusal(tampered(wrong))
