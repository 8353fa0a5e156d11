"""A clamp in the contract is in the graph, where it hides no NaN, and without one the graph is what it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from exporters.export import FORMATS, export
from exporters.gate import batch_inputs, sampling_inputs

CLAMP = 0.1


def ids_of(spec, texts):
    return np.array([spec.instruction.encode(text) for text in texts])


def clamping(checkpoint, clamp: float | None = CLAMP):
    n = checkpoint.spec.normalisation
    mean, std = (0.0, *n.action_mean[1:]), (1.0, *n.action_std[1:])
    n = msgspec.structs.replace(n, action_mean=mean, action_std=std, clamp=clamp, mode="min_max", keep=("a0",))
    checkpoint.spec = msgspec.structs.replace(checkpoint.spec, normalisation=n)
    return checkpoint


@pytest.mark.parametrize(
    ("architecture", "head", "kind"),
    [
        ("tiny", "continuous", "onnx"),
        ("tiny", "continuous", "torchscript"),
        ("tiny", "tokens", "torchscript"),
        ("flow", "flow", "onnx"),
    ],
)
def test_the_graph_clamps_what_the_policy_sees_and_says(
    tmp_path: Path, build, architecture: str, head: str, kind: str
) -> None:
    checkpoint = clamping(build(head, architecture=architecture))
    spec = checkpoint.spec
    # The gate holds the file against the eager policy, batch by batch.
    done = export(checkpoint, {kind: tmp_path / "policy"})[kind]
    run = FORMATS[kind].open(done.path)
    assert FORMATS[kind].contract(done.path).normalisation == spec.normalisation
    images, state, texts = batch_inputs(spec, 4, 3)
    sampling = sampling_inputs(spec, 4, 1)
    mean, std = np.array(spec.normalisation.action_mean), np.array(spec.normalisation.action_std)
    chunk = run(images, state, ids_of(spec, texts), sampling)
    normalised = (chunk - mean) / std
    assert np.abs(normalised[..., 1:]).max() == pytest.approx(CLAMP, abs=1e-5)
    assert np.abs(normalised[..., 0]).max() > CLAMP + 0.01
    # Beyond the clamp one state is as good as another.
    centre, width = np.array(spec.normalisation.state_mean), np.array(spec.normalisation.state_std)
    far, farther = ((centre + width * k).astype(np.float32).repeat(4).reshape(-1, 4).T for k in (2.0, 50.0))
    answers = [run(images, np.ascontiguousarray(s), ids_of(spec, texts), sampling) for s in (far, farther, state)]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    # A minimum of a number and of what is none must not be the number.
    state[0, 1] = np.nan
    chunk = run(images, state, ids_of(spec, texts), sampling)
    if head == "tokens":
        return
    broken, whole = np.split(chunk, [len(chunk) // 4])
    assert np.isnan(broken).any()
    assert np.isfinite(whole).all()
