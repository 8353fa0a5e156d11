"""The gate catches what goes wrong in exports, and what fails it is never written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporters import export as export_module
from exporters.export import FORMATS, export
from exporters.gate import check, check_golden, max_abs_error
from exporters.golden import complete_contract
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.learn.infer import eager_chunk
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy


def eager_runner(checkpoint):
    """The eager policy in the place of a written file; ids mapped back to text."""
    texts = {checkpoint.spec.instruction.encode(text): text for text in checkpoint.spec.instruction.texts}

    def run(images, state, ids, sampling):
        return eager_chunk(checkpoint.policy, checkpoint.spec, images, state, [texts[int(i)] for i in ids], **sampling)

    return run


def test_the_policy_itself_passes(build) -> None:
    for checkpoint in (build(), build("flow", architecture="flow")):
        assert check(checkpoint, eager_runner(checkpoint)) == 0.0


def baked_constant(run):
    first = []

    def faulty(images, state, ids, sampling):
        first.append(run(images, state, ids, sampling)[:1])
        return np.repeat(first[0], len(ids), axis=0)

    return faulty


FAULTS = {
    "a baked constant": baked_constant,
    "a baked batch size": lambda run: lambda i, s, n, given: run(i, s, n, given)[:2],
    "a small offset": lambda run: lambda i, s, n, given: run(i, s, n, given) + 1e-3,
    "NaN": lambda run: lambda i, s, n, given: run(i, s, n, given) * np.nan,
    "a mirrored image": lambda run: lambda i, *more: run({k: v[:, :, ::-1] for k, v in i.items()}, *more),
    "BGR": lambda run: lambda i, *more: run({k: v[..., ::-1] for k, v in i.items()}, *more),
    "a state not normalised": lambda run: lambda i, s, *more: run(i, s * 1.1, *more),
    "instructions ignored": lambda run: lambda i, s, n, given: run(i, s, np.full_like(n, n[0]), given),
}
SAMPLING_FAULTS = {
    "one draw for all": lambda noise, **more: {"noise": np.repeat(noise[:, :1], noise.shape[1], 1), **more},
    "baked noise": lambda noise, **more: {"noise": np.ones_like(noise), **more},
    "a previous chunk of another row": lambda prev_chunk, **more: {"prev_chunk": np.roll(prev_chunk, 1, 1), **more},
    "no delay": lambda delay, **more: {"delay": 0 * delay, **more},
    "one delay for all": lambda delay, **more: {"delay": np.full_like(delay, delay[0]), **more},
    "no guidance": lambda prefix_weights, **more: {"prefix_weights": 0 * prefix_weights, **more},
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_caught(checkpoint, fault: str) -> None:
    with pytest.raises(PolicyFileError, match="differs from the eager policy"):
        check(checkpoint, FAULTS[fault](eager_runner(checkpoint)))


@pytest.mark.parametrize("fault", sorted(SAMPLING_FAULTS))
def test_a_fault_of_sampling_is_caught(build, fault: str) -> None:
    checkpoint = build("flow", architecture="flow")
    run = eager_runner(checkpoint)
    with pytest.raises(PolicyFileError, match="differs from the eager policy"):
        check(checkpoint, lambda i, s, n, given: run(i, s, n, SAMPLING_FAULTS[fault](**given)))


def test_swapped_cameras_are_caught(build) -> None:
    checkpoint = build("continuous", ("front", "wrist"))
    run = eager_runner(checkpoint)
    error = max_abs_error(checkpoint, lambda i, *more: run({"front": i["wrist"], "wrist": i["front"]}, *more))
    assert error > 1e-3


def test_a_wrong_golden_sample_is_caught(checkpoint) -> None:
    spec = complete_contract(checkpoint)
    run = eager_runner(checkpoint)
    assert check_golden(spec, run) <= 1e-6
    with pytest.raises(PolicyFileError, match="misses its own golden sample"):
        check_golden(spec, lambda *given: run(*given) + 1e-3)
    with pytest.raises(PolicyFileError, match="misses its own golden sample"):
        check_golden(spec, lambda *given: run(*given) * np.nan)
    with pytest.raises(PolicyFileError, match="no golden sample"):
        check_golden(checkpoint.spec, run)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_file_that_fails_is_not_written(tmp_path: Path, checkpoint, kind: str) -> None:
    with pytest.raises(PolicyFileError, match="no file was written"):
        export(checkpoint, {kind: tmp_path / "policy"}, tolerance=1e-30)
    assert list(tmp_path.iterdir()) == []


def test_all_targets_are_written_or_none(tmp_path: Path, checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    older = tmp_path / "model.onnx"
    older.write_bytes(b"older")
    broken = FORMATS["torchscript"]._replace(write=interrupted)
    monkeypatch.setitem(export_module.FORMATS, "torchscript", broken)
    with pytest.raises(KeyboardInterrupt):
        export(checkpoint, {"onnx": older, "torchscript": tmp_path / "model.ts"})
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    assert older.read_bytes() == b"older"


def test_a_file_without_contract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.ts").write_bytes(b"junk")
    with pytest.raises(PolicyFileError, match="not a TorchScript file"):
        TorchScriptPolicy(tmp_path / "junk.ts")
    with pytest.raises(PolicyFileError, match="No such file"):
        TorchScriptPolicy(tmp_path / "missing.ts")
