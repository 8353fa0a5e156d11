"""Any policy file made one that is sampled and continues: the optional inputs, wound around its graph's output."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.spec import METADATA_KEY, PolicySpec
from vla_runtime.plugins.policies.onnx import OnnxPolicy

SPREAD = 0.01
"""What noise of 1 adds to an action."""


def condition(source: Path, takes: Collection[str], out: Path, state_time: str = "", dt_ns: int = 0) -> Path:
    """The policy ``source`` with the inputs ``takes``: its chunk plus noise, drawn to the previous chunk by the
    weights, the rows before the delay replaced by it. Its golden sample is made anew; ``state_time`` and ``dt_ns``,
    where they are given, are its contract's.
    """
    model = onnx.load(str(source))
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    spec = PolicySpec.from_json(entry.value)
    wound(model, takes, spec.chunk_length, len(spec.actions))
    spec = msgspec.structs.replace(spec, state_time=state_time or spec.state_time, dt_ns=dt_ns or spec.dt_ns)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as draft:
        entry.value = spec.to_json().decode()
        onnx.save(model, draft.name)
        policy = OnnxPolicy(Path(draft.name))
        chunk = policy.infer(golden_images(spec), golden_state(spec), spec.instruction.encode(spec.golden.instruction))
    golden = msgspec.structs.replace(spec.golden, actions=tuple(map(tuple, chunk.astype(float).tolist())))
    entry.value = msgspec.structs.replace(spec, golden=golden).to_json().decode()
    onnx.save(model, str(out))
    return out


def wound(model, takes: Collection[str], rows: int, columns: int) -> None:
    graph = model.graph
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = ["plain" if name == output.name else name for name in node.output]
        node.input[:] = ["plain" if name == output.name else name for name in node.input]

    def constant(name: str, value) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(kind: str, inputs: list[str], name: str, **attributes) -> str:
        graph.node.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def take(name: str, kind: int, *shape: int | str) -> str:
        graph.input.append(helper.make_tensor_value_info(name, kind, ["batch", *shape]))
        return name

    one, last = constant("one", np.array([1], np.int64)), constant("last", np.array([1, 2, 3], np.int64))
    chunk = add("Unsqueeze", ["plain", one], "a_draw")
    if "noise" in takes:
        noise = take("noise", TensorProto.FLOAT, "draws", rows, columns)
        spread = add("Mul", [noise, constant("spread", np.float32(SPREAD))], "small_noise")
        chunk = add("Add", [chunk, spread], "noisy")
    if "prev_chunk" in takes:
        previous = add("Unsqueeze", [take("prev_chunk", TensorProto.FLOAT, rows, columns), one], "previous")
    if "delay" in takes:
        delay = add("Unsqueeze", [take("delay", TensorProto.INT64), last], "a_delay")
    if "prefix_weights" in takes:
        weights = take("prefix_weights", TensorProto.FLOAT, rows)
        weights = add("Unsqueeze", [weights, constant("around", np.array([1, 3], np.int64))], "weights")
        apart = add("Sub", [previous, chunk], "apart")
        chunk = add("Add", [chunk, add("Mul", [weights, apart], "drawn")], "guided")
    if "delay" in takes:
        row = constant("row", np.arange(rows).reshape(1, 1, rows, 1))
        chunk = add("Where", [add("Less", [row, delay], "held"), previous, chunk], "kept")
    add("Reshape", [chunk, constant("whole", np.array([-1, rows, columns], np.int64))], output.name)
    if "noise" in takes:
        output.type.tensor_type.shape.dim[0].dim_param = "chunks"
