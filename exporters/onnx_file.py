"""ONNX: writing the graph with its contract, and running what was written."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from exporters.gate import Runner
from exporters.graph import PolicyGraph, example_inputs, input_names
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["OPSET", "open_onnx", "read_contract", "write_onnx"]

OPSET = 18
OUTPUT = "action_chunk"


def write_onnx(checkpoint: Checkpoint, spec: PolicySpec, path: Path, continues: bool = True) -> None:
    """Write ``path``: one self-contained file, dynamic batch, the contract under ``metadata_props``.

    Without ``continues`` a sampling policy's graph takes no chunk to continue.

    The exporter's notes on every node (stack traces with the paths of the exporting machine) are dropped.
    """
    graph = PolicyGraph(checkpoint, continues=continues).eval()
    names, inputs = input_names(spec, continues=continues), example_inputs(spec, continues=continues)
    batch, draws = torch.export.Dim("batch", min=1), torch.export.Dim("draws", min=1)
    shapes = tuple({0: batch, 1: draws} if name == "noise" else {0: batch} for name in names)
    with torch.no_grad(), _silent_exporter():
        program = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_shapes=(shapes,),
            verbose=False,
        )
    model = program.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json().decode()
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def open_onnx(path: Path) -> Runner:
    """The written file behind the gate's interface, on ONNX Runtime with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    takes = {entry.name for entry in session.get_inputs()}
    instruction = PolicySpec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY]).instruction

    def run(images: dict[str, U8], state: F32, ids: np.ndarray, sampling: Mapping[str, np.ndarray] = {}) -> F32:
        feed = {f"image.{name}": image for name, image in images.items()}
        feed |= {name: value for name, value in {"state": state, **sampling}.items() if name in takes}
        return session.run([OUTPUT], feed | instruction.inputs(ids))[0]

    return run


def read_contract(path: Path) -> PolicySpec:
    """The contract as the written file carries it."""
    model = onnx.load(str(path))
    return PolicySpec.from_json(next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY))


@contextmanager
def _silent_exporter() -> Iterator[None]:
    """Keep torch's progress lines and self-directed warnings off the terminal; errors still come as exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
