"""An exported flow policy keeps the contract of policies, whichever way it continues the plan in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from exporters.export import FORMATS, export
from vla_runtime.core.protocols import Policy
from vla_runtime.core.sampling import Sampling
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy
from vla_runtime.plugins.policies.onnx import OnnxPolicy
from vla_runtime.testing import PolicyContract

from .conftest import _build

KINDS = {"onnx": OnnxPolicy, "torchscript": TorchScriptPolicy}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One untrained flow policy in every format."""
    directory = tmp_path_factory.mktemp("flow")
    targets = {kind: directory / f"flow{form.suffix}" for kind, form in FORMATS.items()}
    export(_build("flow", architecture="flow"), targets)
    return targets


class FlowContract(PolicyContract):
    """``kind``: the file's; ``sampling``: how it is opened."""

    kind = "onnx"
    sampling = Sampling()

    @pytest.fixture(autouse=True)
    def file(self, files: dict[str, Path]) -> None:
        self.path = files[self.kind]

    def make(self) -> Policy:
        policy = KINDS[self.kind](self.path, sampling=self.sampling)
        assert policy.samples
        assert policy.continues
        return policy


class TestOnnxHeldToThePrefix(FlowContract):
    sampling = Sampling("prefix")


class TestOnnxGuided(FlowContract):
    sampling = Sampling("guidance")


class TestOnnxHeldAndGuidedOfSeveralDraws(FlowContract):
    sampling = Sampling("both", 4)


class TestTorchScriptHeldToThePrefix(FlowContract):
    kind = "torchscript"
    sampling = Sampling("prefix")


class TestTorchScriptGuidedOfSeveralDraws(FlowContract):
    kind = "torchscript"
    sampling = Sampling("guidance", 4)


@pytest.mark.parametrize("sampling", [Sampling("prefix"), Sampling("guidance", 3), Sampling("both", 3)], ids=str)
def test_both_formats_give_the_same_chunk_for_the_same_seed(sampling: Sampling, files: dict[str, Path]) -> None:
    policies = [KINDS[kind](path, sampling=sampling) for kind, path in files.items()]
    contract = FlowContract()
    told = contract._continuation(policies[0], delay=3, bound=1.0)
    left, right = (contract._chunk(policy, 0, seed=5, continuation=told) for policy in policies)
    assert np.abs(left - right).max() < 1e-4
