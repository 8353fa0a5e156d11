"""TorchScript: writing the graph with its contract, and running what was written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from exporters.gate import Runner
from exporters.graph import PolicyGraph, example_inputs, input_names
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.torchscript_policy import INPUTS_KEY, TorchScriptPolicy

__all__ = ["open_torchscript", "read_contract", "write_torchscript"]


def write_torchscript(checkpoint: Checkpoint, spec: PolicySpec, path: Path, continues: bool = True) -> None:
    """Write ``path``: the traced and frozen graph, the contract under ``_extra_files``, the names of the inputs,
    which are positional, as well."""
    graph = PolicyGraph(checkpoint, continues=continues).eval()
    names, example = input_names(spec, continues=continues), example_inputs(spec, continues=continues)
    with torch.no_grad(), warnings.catch_warnings():
        # TracerWarning: shapes become constants. The gate's other batch sizes prove that the batch did not.
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(torch.jit.trace(graph, example, check_trace=False))
        traced.save(str(path), _extra_files={METADATA_KEY: spec.to_json(), INPUTS_KEY: json.dumps(names)})


def open_torchscript(path: Path) -> Runner:
    """The written file behind the gate's interface, on the runtime's own TorchScript policy."""
    return TorchScriptPolicy(path, threads=torch.get_num_threads()).infer_batch


def read_contract(path: Path) -> PolicySpec:
    """The contract as the written file carries it."""
    return TorchScriptPolicy(path, threads=torch.get_num_threads()).spec
