"""The policy that all contestants run: an ONNX file that knows the true motion, with our contract inside."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.drivers import fake
from vla_runtime.core.golden import golden_state
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import METADATA_KEY, ActionSpec, GoldenSample, Normalisation, PolicySpec, StateSpec

__all__ = ["INSTRUCTION", "write"]

INSTRUCTION = "follow the clock"
_STIR = 997.0


def write(path: Path) -> None:
    """Write the policy file, golden sample included."""
    spec = _contract()
    graph = _graph()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"state": golden_state(spec)[None], "instruction_id": np.zeros(1, dtype=np.int64)}
    (chunk,) = session.run(["action_chunk"], inputs)[0]
    golden = GoldenSample(INSTRUCTION, tuple(map(tuple, chunk.tolist())), 1e-4)
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, msgspec.structs.replace(spec, golden=golden).to_json().decode()
    onnx.save(graph, path)


def _contract() -> PolicySpec:
    wide = len(fake.JOINTS)
    spec = PolicySpec(
        name="clock",
        chunk_length=fake.ROWS,
        dt_ns=round(fake.STEP_S * 1e9),
        actions=tuple(ActionSpec(name, "none", -1.0, 1.0) for name in fake.JOINTS),
        state=(StateSpec("seconds", "none"),),
        cameras=(),
        instruction=InstructionEncoding("table", 1, (INSTRUCTION,)),
        head="continuous",
        normalisation=Normalisation((0.0,), (1.0,), (0.0,) * wide, (1.0,) * wide),
    )
    spec.check()
    return spec


def _graph() -> onnx.ModelProto:
    """seconds [B, 1] to [B, 16, 6]: each row's time, four sines of it, and an offset that each plan chooses anew."""
    constants = {
        "ahead": np.arange(fake.ROWS) * fake.STEP_S,
        "turns": 2 * np.pi * fake.HERTZ,
        "phase": fake.PHASE,
        "swing": np.array(fake.SWING),
        "stir": np.array(_STIR),
        "opinion": np.full((1, fake.ROWS, 1), fake.OPINION),
    }
    nodes = [
        helper.make_node("Add", ["state", "ahead"], ["t"]),
        helper.make_node("Unsqueeze", ["t", "last"], ["clock"]),
        helper.make_node("Mul", ["clock", "turns"], ["turned"]),
        helper.make_node("Add", ["turned", "phase"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["sine"]),
        helper.make_node("Mul", ["sine", "swing"], ["joints"]),
        helper.make_node("Mul", ["state", "stir"], ["stirred"]),
        helper.make_node("Sin", ["stirred"], ["chosen"]),
        helper.make_node("Unsqueeze", ["chosen", "last"], ["wide"]),
        helper.make_node("Mul", ["wide", "opinion"], ["offset"]),
        helper.make_node("Concat", ["clock", "joints", "offset"], ["action_chunk"], axis=2),
    ]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(np.array([2], dtype=np.int64), "last"))
    inputs = [
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["B", 1]),
        helper.make_tensor_value_info("instruction_id", TensorProto.INT64, ["B"]),
    ]
    shape = ["B", fake.ROWS, len(fake.JOINTS)]
    outputs = [helper.make_tensor_value_info("action_chunk", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "clock", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
