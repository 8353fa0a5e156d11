"""Success is measured by ``vla-eval`` itself, and its refusals are passed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters.precision.success import Evaluation, Success, measure
from vla_runtime.core.errors import Refusal

POLICIES = Path(__file__).resolve().parents[2] / "robot_configs" / "policies"


def test_a_file_is_measured_in_as_many_episodes_as_asked_for() -> None:
    found = measure(POLICIES / "toy.onnx", Evaluation("tracker", "track", 2))
    assert found.episodes == 2
    assert 0 <= found.low <= found.successes / 2 <= found.high <= 1
    assert str(Success(9, 10, 0.596, 0.982)) == "9 of 10 (0.60 to 0.98)"


def test_a_refusal_of_the_evaluation_is_ours() -> None:
    with pytest.raises(Refusal, match=r"--evaluate: .*nothing"):
        measure(POLICIES / "toy.onnx", Evaluation("tracker", "nothing", 1))
