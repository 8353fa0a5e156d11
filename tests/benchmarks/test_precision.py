"""What reduced precision saves is measured on files of one policy, all run in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.precision import SHIPPED, measured, variants
from exporters.onnx_file import open_onnx, read_contract
from exporters.precision.errors import made_up_batches


def test_every_variant_is_smaller_runs_and_is_still_the_policy(tmp_path: Path) -> None:
    files = variants(SHIPPED, tmp_path)
    spec = read_contract(SHIPPED)
    batch = made_up_batches(spec, continues=True)[0]
    answers = {
        name: open_onnx(path)(batch.images, batch.state, batch.ids(spec), batch.sampling)
        for name, path in files.items()
    }
    spread = np.array(spec.normalisation.action_std)
    for name, answer in answers.items():
        assert (np.abs(answer - answers["fp32"]) < 0.2 * spread).all(), name
    figures = measured(SHIPPED, calls=2)
    assert list(figures) == list(files) == ["fp32", "fp16", "int8", "int8-dynamic", "computing in half"]
    assert figures["fp32"]["size_ratio"] == figures["fp32"]["speed_up"] == 1.0
    for name in ("fp16", "int8", "int8-dynamic"):
        assert figures[name]["size_ratio"] <= 0.55
        assert figures[name]["us"] > 0
