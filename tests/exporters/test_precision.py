"""A file of reduced precision says how far it is from the policy, in the actions' units, or is not written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from exporters.cli import main
from exporters.export import Exported, export
from exporters.onnx_file import open_onnx, read_contract
from exporters.precision import reduced as reduced_module
from exporters.precision.errors import WORST, UnitError, check_errors, logged_batches, unit_errors
from exporters.precision.observations import Observation, Observations
from exporters.precision.reduced import PRECISIONS, Reduced, export_reduced
from exporters.precision.success import Evaluation, Success, check_success, parse_evaluation
from exporters.precision.tolerance import SHARE, Tolerance, parse_tolerance
from exporters.told import told
from exporters.verify import verify
from vla_runtime.core.errors import ConfigError, PolicyFileError
from vla_runtime.core.sampling import Sampling
from vla_runtime.learn.checkpoint import Checkpoint, save_checkpoint
from vla_runtime.learn.infer import eager_chunk
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy

from ..docs.test_json import compare
from .conftest import _build

SIZES = {"hidden_dim": 64, "channels": 32, "keypoints": 8}


@pytest.fixture(scope="module")
def arm() -> Checkpoint:
    """A visuomotor policy with layers large enough to be reduced, its actions in three units."""
    cameras = {"front": (24, 20), "wrist": (16, 16)}
    return in_units(_build("continuous", cameras, architecture="visuomotor", sizes=SIZES))


@pytest.fixture(scope="module")
def full(arm, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Its f32 file, made once: that takes longer than all the rest."""
    return export(arm, {"onnx": tmp_path_factory.mktemp("full") / "full.onnx"})["onnx"]


@pytest.fixture(scope="module")
def quick(arm, full) -> Iterator[None]:
    """``export_reduced`` of ``arm`` takes that file for granted; nothing is timed."""

    def copied(checkpoint, targets, **given) -> dict[str, Exported]:
        if checkpoint is not arm:
            return export(checkpoint, targets, **given)
        shutil.copy(full.path, targets["onnx"])
        return {"onnx": replace(full, path=targets["onnx"])}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reduced_module, "export", copied)
        patch.setattr(reduced_module, "runner_latency_ms", lambda checkpoint, runner: 1.0)
        yield


@pytest.fixture(scope="module")
def made(arm, quick, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reduced]:
    """Of every precision, calibrated and judged on what ``seen`` shows."""
    folder = tmp_path_factory.mktemp("made")
    return {kind: export_reduced(arm, folder / f"{kind}.onnx", kind, observations=seen(arm)) for kind in PRECISIONS}


def in_units(checkpoint: Checkpoint) -> Checkpoint:
    actions = tuple(
        msgspec.structs.replace(action, unit=unit)
        for action, unit in zip(checkpoint.spec.actions, ("rad", "rad", "m", "none"), strict=True)
    )
    return replace(checkpoint, spec=msgspec.structs.replace(checkpoint.spec, actions=actions))


def seen(checkpoint: Checkpoint, count: int = 24) -> Observations:
    """Smooth pictures, each another, and states as in training."""
    spec, random = checkpoint.spec, np.random.RandomState(0)
    mean, std = np.array(spec.normalisation.state_mean), np.array(spec.normalisation.state_std)

    def one(row: int) -> Observation:
        images = {}
        for camera in spec.cameras:
            y, x = np.mgrid[: camera.height, : camera.width]
            waves = [128 + 90 * np.sin((x + 3 * row) / (4 + c) + y / (5 + row % 7)) for c in range(3)]
            images[camera.name] = np.stack(waves, -1).astype(np.uint8)
        state = (mean + std * random.standard_normal(len(mean))).astype(np.float32)
        return Observation(images, state, spec.instruction.texts[row % len(spec.instruction.texts)])

    return Observations([one(row) for row in range(count)], [one(row + count) for row in range(count)])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_reduced_file_answers_within_its_reported_error_on_the_robot(arm, made, precision: str) -> None:
    observations, done = seen(arm), made[precision]
    assert [error.unit for error in done.errors] == ["rad", "m", "none"]
    worst = dict.fromkeys(("rad", "m", "none"), 0.0)
    policy = OnnxPolicy(done.path)
    for one in observations.judge:
        given = policy.infer(one.images, one.state, arm.spec.instruction.encode(one.instruction))
        images = {name: image[None] for name, image in one.images.items()}
        expected = eager_chunk(arm.policy, arm.spec, images, one.state[None], [one.instruction])[0]
        for index, action in enumerate(arm.spec.actions):
            worst[action.unit] = max(worst[action.unit], float(np.abs(given - expected)[:, index].max()))
    for error in done.errors:
        assert 0 < error.mean <= error.p99 <= error.max <= WORST * error.bound
        # A range that each call finds is that of the whole batch: alone, a row may be nearer or farther.
        assert worst[error.unit] <= error.max * (1.0001 if precision == "fp16" else 2.0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_reduced_file_passes_its_own_golden_sample_and_says_what_it_is(full, made, precision: str) -> None:
    done = made[precision]
    policy = OnnxPolicy(done.path)
    assert policy.spec.precision == precision
    assert check_golden(policy) <= 1e-6
    assert policy.spec.golden.tolerance == done.golden_tolerance >= 1e-4
    assert read_contract(full.path).precision == "fp32"
    assert done.reduced.size_bytes == done.path.stat().st_size < 0.8 * full.size_bytes
    assert (done.layers > 0) == (precision != "fp16")
    for trace in (b".py", str(Path(__file__).parents[2]).encode(), b"site-packages"):
        assert trace not in done.path.read_bytes()


def test_calibrated_convolutions_are_reduced_too(made) -> None:
    # Of each camera two read 32 channels or more.
    assert made["int8"].layers == made["int8-dynamic"].layers + 4


def test_a_flow_policy_of_reduced_precision_still_holds_its_prefix(tmp_path: Path, build) -> None:
    flow = build("flow", {"front": (16, 16)}, architecture="flow", sizes={**SIZES, "sampling_steps": 2})
    path = export_reduced(
        flow, tmp_path / "flow.onnx", "int8", observations=seen(flow, 8), tolerance=Tolerance(0.2)
    ).path
    for sampling in (Sampling("prefix"), Sampling("off", 3)):
        assert check_golden(OnnxPolicy(path, sampling=sampling)) <= 1e-6


def test_without_logs_made_up_inputs_judge(tmp_path: Path, arm, quick) -> None:
    done = export_reduced(arm, tmp_path / "arm.onnx", "fp16")
    assert not done.logged
    assert done.judged_on == 30


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_beyond_the_bound_is_not_written(tmp_path: Path, arm, quick, precision: str) -> None:
    with pytest.raises(PolicyFileError, match=r"m: p99 .* no file was written"):
        export_reduced(
            arm, tmp_path / "a.onnx", precision, observations=seen(arm), tolerance=Tolerance(1.0, {"m": 1e-9})
        )
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_succeeds_less_is_not_written(
    tmp_path: Path, arm, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([Success(100, 100, 0.963, 1.0), Success(96, 100, 0.902, 0.984)])
    monkeypatch.setattr(reduced_module, "measure", lambda path, evaluation: next(measured))
    with pytest.raises(PolicyFileError, match=r"96 of 100 \(0.90 to 0.98\).*no file was written"):
        export_reduced(arm, tmp_path / "a.onnx", "fp16", evaluation=Evaluation("arm", "reach"))
    assert list(tmp_path.iterdir()) == []
    check_success(Success(97, 100, 0.915, 0.99), Success(100, 100, 0.963, 1.0))


def test_nan_and_a_wrong_shape_are_beyond_every_bound(arm) -> None:
    batches = logged_batches(arm.spec, seen(arm, 3).judge)
    for spoil in (lambda chunk: chunk * np.nan, lambda chunk: chunk[:, 1:]):
        errors = unit_errors(
            arm, lambda *given, spoil=spoil: spoil(np.zeros((len(given[1]), 8, 4), np.float32)), batches, {"rad": 1e9}
        )
        with pytest.raises(PolicyFileError, match="rad"):
            check_errors(errors, "int8")


def test_one_value_in_a_hundred_may_be_beyond_the_bound_but_none_far() -> None:
    within = UnitError("rad", max=WORST * 0.01, mean=0.0, p99=0.01, bound=0.01)
    assert within.within
    assert not replace(within, max=WORST * 0.0101).within
    assert not replace(within, p99=0.0101).within
    assert not replace(within, p99=float("nan")).within


def test_the_default_bound_is_a_share_of_the_widest_range_of_the_unit(arm) -> None:
    actions = arm.spec.actions
    widest = max(action.high - action.low for action in actions if action.unit == "rad")
    bounds = Tolerance().bounds(arm.spec)
    assert list(bounds) == ["rad", "m", "none"]
    assert bounds["rad"] == SHARE * widest
    assert Tolerance(0.5).bounds(arm.spec) == {"rad": 0.5, "m": 0.5, "none": 0.5}
    named = parse_tolerance("rad=0.02, m=0.001").bounds(arm.spec)
    assert named == bounds | {"rad": 0.02, "m": 0.001}
    with pytest.raises(ConfigError, match=r"'deg' given; valid: m, none, rad"):
        parse_tolerance("deg=1").bounds(arm.spec)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "rad", "rad=", "rad=0", "=", ""])
def test_a_tolerance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected more than 0"):
        parse_tolerance(text)


def test_what_to_evaluate_is_read_or_refused() -> None:
    assert parse_evaluation("arm:reach") == Evaluation("arm", "reach", 100)
    assert parse_evaluation("my.yaml:push:20") == Evaluation("my.yaml", "push", 20)
    for text in ("arm", ":reach", "arm:", "arm:reach:0", "arm:reach:few", "a:b:1:2"):
        with pytest.raises(ConfigError, match="expected ROBOT:TASK"):
            parse_evaluation(text)


def test_a_policy_without_a_layer_worth_it_is_refused(tmp_path: Path, build) -> None:
    small = build("continuous", architecture="visuomotor", sizes={"hidden_dim": 16, "channels": 4, "keypoints": 4})
    with pytest.raises(PolicyFileError, match="8 bits would change nothing"):
        export_reduced(small, tmp_path / "a.onnx", "int8-dynamic")
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, arm, quick, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.pt"
    save_checkpoint(arm, model)
    for argv, message in (
        (["--precision", "int8"], "--calibrate: int8 fixes its ranges beforehand"),
        (["--precision", "int8", "--calibrate", str(tmp_path / "none")], "no directory, expected one with episodes"),
        (["--precision", "int8", "--calibrate", str(tmp_path)], "there is no file *.mcap in it"),
        (["--precision", "fp16", "--format", "torchscript"], "TorchScript stays fp32"),
        (["--precision", "fp16", "--format", "both"], "TorchScript stays fp32"),
        (["--precision", "fp16", "--out", str(tmp_path / "a.ts")], "TorchScript stays fp32"),
        (["--precision", "fp16", "--tolerance", "cm=1"], "'cm' given; valid: m, none, rad"),
        (["--tolerance", "rad=1"], "expected one number"),
        (["--calibrate", str(tmp_path)], "expected --precision beside it"),
        (["--evaluate", "arm:reach"], "expected --precision beside it"),
    ):
        assert main([str(model), *argv]) == 2
        assert message in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == [model]


def test_the_command_reports_what_is_documented(
    tmp_path: Path, arm, quick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(arm, tmp_path / "model.pt")
    monkeypatch.setattr(reduced_module, "measure", lambda path, evaluation: Success(19, evaluation.episodes, 0.76, 1.0))
    argv = ["--precision", "fp16", "--tolerance", "rad=0.01,m=0.02", "--evaluate", "arm:reach:20", "--json"]
    assert main([str(tmp_path / "model.pt"), *argv]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    compare("vla-export --precision", report)
    assert list(report["error"]) == ["rad", "m", "none"]
    assert report["error"]["m"]["allowed"] == 0.02
    assert report["files"] == [str(tmp_path / "model.onnx")]
    assert report["size_bytes"]["fp16"] == (tmp_path / "model.onnx").stat().st_size < report["size_bytes"]["fp32"]
    assert report["success"]["fp16"] == {"successes": 19, "episodes": 20, "low": 0.76, "high": 1.0}
    assert "19 of 20 (0.76 to 1.00)" in printed.err


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_reduced_file_runs_batches_of_any_size(arm, made, precision: str) -> None:
    runner = open_onnx(made[precision].path)
    for batch in logged_batches(arm.spec, seen(arm).judge, sizes=(5, 11)):
        assert runner(batch.images, batch.state, batch.ids(arm.spec)).shape == (len(batch.texts), 8, 4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_verifying_a_reduced_file_judges_it_in_action_units(arm, made, precision: str, tmp_path: Path) -> None:
    other = replace(arm, policy=_build("continuous", {"front": (24, 20), "wrist": (16, 16)}, architecture="visuomotor",
                                       sizes=SIZES).policy)  # fmt: skip
    for parameter in other.policy.parameters():
        parameter.data.mul_(-1.0)
    path, shown = made[precision].path, seen(arm)
    found = verify(path, arm, observations=shown)
    assert found.passed, found.checks
    assert [check.name for check in found.checks] == ["contract", "golden", "batches", "rows", "origin", "parity"]
    assert "rad: p99" in found.checks[-1].detail
    assert [check.name for check in verify(path, other, observations=shown).checks if not check.passed] == ["parity"]
    strict = verify(path, arm, observations=shown, tolerance=Tolerance(1e-9))
    assert "parity" in [check.name for check in strict.checks if not check.passed]


def test_verifying_says_if_eight_bits_make_a_row_depend_on_its_batch(made) -> None:
    rows = {check.name: check for check in verify(made["int8-dynamic"].path, tolerance=Tolerance(1e-6)).checks}["rows"]
    assert not rows.passed
    assert "a row's answer depends on the others in its batch, by" in rows.detail


def test_a_reduced_file_of_a_prompt_is_told_like_the_full_one(quick, tmp_path: Path) -> None:
    policy = _build(
        "continuous", {"front": (16, 16)}, architecture="act", sizes={"hidden_dim": 64, "width": 32, "layers": 1}
    )
    for kind, text in (("fixed", "go right"), ("tokens", None)):
        asked = told(policy, kind, text)
        done = export_reduced(asked, tmp_path / f"{kind}.onnx", "fp16", tolerance=Tolerance(0.05))
        onnx = OnnxPolicy(done.path)
        assert (onnx.spec.instruction.kind, onnx.spec.precision) == (kind, "fp16")
        check_golden(onnx)


def test_a_bound_by_unit_is_no_bound_of_an_fp32_file(full) -> None:
    with pytest.raises(ConfigError, match="expected one number"):
        verify(full.path, tolerance=Tolerance(None, {"rad": 1.0}))
