"""``vla-export --verify``: a file that is what it says passes, every other fails with its reason and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from exporters.cli import main
from exporters.export import export
from exporters.verify import verify
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

from .conftest import _build

NAMES = ["contract", "golden", "batches", "rows"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``model.pt`` of a token policy with its files, ``other.pt`` with the same contract and other weights."""
    folder = tmp_path_factory.mktemp("verify")
    checkpoint = _build("tokens")
    save_checkpoint(checkpoint, folder / "model.pt")
    for parameter in checkpoint.policy.parameters():
        parameter.data.mul_(-1.0)
    save_checkpoint(checkpoint, folder / "other.pt")
    export(load_checkpoint(folder / "model.pt"), {"onnx": folder / "model.onnx", "torchscript": folder / "model.ts"})
    return folder


def altered(folder: Path, tmp_path: Path, change: Callable[[onnx.ModelProto, PolicySpec], PolicySpec]) -> Path:
    """The ONNX file after somebody's changes."""
    model = onnx.load(str(folder / "model.onnx"))
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = change(model, PolicySpec.from_json(entry.value)).to_json().decode()
    onnx.save(model, str(tmp_path / "altered.onnx"))
    return tmp_path / "altered.onnx"


def failed(path: Path, checkpoint: Checkpoint | None = None) -> dict[str, str]:
    return {check.name: check.detail for check in verify(path, checkpoint).checks if not check.passed}


@pytest.mark.parametrize("name", ["model.onnx", "model.ts"])
def test_an_exported_file_passes_with_and_without_its_checkpoint(folder: Path, name: str) -> None:
    alone = verify(folder / name)
    assert alone.passed, alone.checks
    assert [check.name for check in alone.checks] == NAMES
    whole = verify(folder / name, load_checkpoint(folder / "model.pt"))
    assert whole.passed, whole.checks
    assert [check.name for check in whole.checks] == [*NAMES, "origin", "parity"]


@pytest.mark.parametrize("name", ["model.onnx", "model.ts"])
def test_another_checkpoints_file_fails_on_origin_and_parity(folder: Path, name: str) -> None:
    reasons = failed(folder / name, load_checkpoint(folder / "other.pt"))
    assert reasons.keys() == {"origin", "parity"}
    assert "was exported from the checkpoint" in reasons["origin"]
    assert "differs from the eager policy" in reasons["parity"]


def test_weights_that_were_changed_miss_the_golden_sample(folder: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        for weight in model.graph.initializer:
            value = numpy_helper.to_array(weight)
            if value.dtype == np.float32 and value.ndim > 1:
                weight.CopyFrom(numpy_helper.from_array(-value, weight.name))
        return spec

    path = altered(folder, tmp_path, change)
    assert failed(path).keys() == {"golden"}
    assert failed(path, load_checkpoint(folder / "model.pt")).keys() == {"golden", "parity"}


def test_a_contract_that_was_changed_is_told_from_the_checkpoints(folder: Path, tmp_path: Path) -> None:
    path = altered(folder, tmp_path, lambda model, spec: msgspec.structs.replace(spec, dt_ns=spec.dt_ns * 2))
    assert failed(path) == {}
    assert failed(path, load_checkpoint(folder / "model.pt")) == {
        "origin": "the contract differs from the checkpoint's in dt_ns"
    }


def test_a_contract_that_is_not_the_graphs_or_contradicts_itself_fails_first(folder: Path, tmp_path: Path) -> None:
    def longer(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        return msgspec.structs.replace(spec, chunk_length=9, golden=None)

    def twice(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        return msgspec.structs.replace(spec, cameras=spec.cameras * 2)

    for change, reason in ((longer, "its contract says"), (twice, "contradicts itself")):
        path = altered(folder, tmp_path, change)
        found = verify(path)
        assert [check.name for check in found.checks] == ["contract"]
        assert reason in found.checks[0].detail


def renamed(graph: onnx.GraphProto) -> str:
    """Give the answer another name, so that something can be made of it; returns the one that it had."""
    made = graph.output[0].name
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == made:
                node.output[at] = "alone"
    return made


def mixing(graph: onnx.GraphProto) -> None:
    """Every answer becomes its row's plus the mean of the batch."""
    made = renamed(graph)
    graph.initializer.append(numpy_helper.from_array(np.array([0]), "the_batch"))
    graph.node.append(helper.make_node("ReduceMean", ["alone", "the_batch"], ["mean"], keepdims=1))
    graph.node.append(helper.make_node("Add", ["alone", "mean"], [made]))


def overflowing(graph: onnx.GraphProto) -> None:
    """No answer is finite."""
    made = renamed(graph)
    graph.initializer.append(numpy_helper.from_array(np.array(np.inf, np.float32), "huge"))
    graph.node.append(helper.make_node("Mul", ["alone", "huge"], [made]))


def test_rows_that_look_at_their_neighbours_fail(folder: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        mixing(model.graph)
        return spec

    path = altered(folder, tmp_path, change)
    assert "depends on the others in its batch" in failed(path)["rows"]
    assert failed(path, load_checkpoint(folder / "model.pt")).keys() == {"golden", "rows", "parity"}


def test_answers_that_are_not_finite_fail(folder: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        overflowing(model.graph)
        return spec

    reasons = failed(altered(folder, tmp_path, change))
    assert reasons.keys() == {"golden", "batches"}
    assert "not finite" in reasons["batches"]


def test_a_batch_that_was_fixed_fails(folder: Path, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto, spec: PolicySpec) -> PolicySpec:
        for entry in (*model.graph.input, *model.graph.output):
            entry.type.tensor_type.shape.dim[0].dim_value = 1
        return spec

    assert failed(altered(folder, tmp_path, change)).keys() == {"batches"}


@pytest.mark.parametrize("name", ["nothing.onnx", "nothing.ts", "junk.onnx", "junk.ts"])
def test_what_is_no_policy_file_fails_on_its_contract(tmp_path: Path, name: str) -> None:
    for junk in ("junk.onnx", "junk.ts"):
        (tmp_path / junk).write_bytes(b"junk")
    assert failed(tmp_path / name).keys() == {"contract"}


def test_the_command_prints_each_check_and_ends_with_2_where_one_failed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, model, other = (str(folder / name) for name in ("model.onnx", "model.pt", "other.pt"))
    assert main(["--verify", file, "--checkpoint", model]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["passed", name] for name in (*NAMES, "origin", "parity")
    ]
    assert main(["--verify", file, "--checkpoint", other, "--json"]) == 2
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["exit"] == "refused"
    assert not report["passed"]
    assert "parity: " in report["cause"]
    assert [name for name, check in report["checks"].items() if not check["passed"]] == ["origin", "parity"]
    assert "FAILED  parity" in shown.err


@pytest.mark.parametrize("argv", [[], ["a.pt", "--verify", "b.onnx"], ["a.pt", "--checkpoint", "b.pt"]])
def test_it_is_told_to_export_or_to_verify(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
