"""The golden sample of a file of reduced precision: its own answer, and how far another machine's may be from it.

The robot replays it to find out that it computes what the exporting machine computed. So the answer is that of the
file's own arithmetic; that this is near the policy is the gate's business.
"""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from exporters.golden import GOLDEN_TOLERANCE
from exporters.onnx_file import OUTPUT
from exporters.precision.errors import Batch
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampler, Sampling
from vla_runtime.core.spec import METADATA_KEY, GoldenSample, PolicySpec, Precision
from vla_runtime.core.types import F32

__all__ = ["MARGIN", "NUDGE", "attach_contract", "feed_of", "golden_sample"]

MARGIN = 2.0
"""The tolerance is this many times the spread."""
NUDGE = 1e-5
"""Relative, of every f32 constant: some ten times what another order of summation does."""
_NUDGES = 6
_VARIANTS = 8


def attach_contract(model: onnx.ModelProto, spec: PolicySpec) -> bytes:
    """The file's bytes: ``model`` with ``spec`` inside and without notes on how it was made."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for part in (model.graph, *model.graph.node):
        part.doc_string = ""
    used = {node.domain for node in model.graph.node}
    domains = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(domains)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json().decode()
    model.producer_name, model.producer_version = "vla-runtime", ""
    onnx.checker.check_model(model)
    return model.SerializeToString()


def golden_sample(model: onnx.ModelProto, spec: PolicySpec, precision: Precision) -> PolicySpec:
    """``spec`` with the golden sample of the graph ``model`` and with ``precision``.

    The tolerance is ``MARGIN`` times the spread, and never less than that of an f32 file. Another CPU sums in another
    order. In f32 that stays as small as it is, but where a value lies between two of the 256, it goes to the other one,
    a step of thousands of times that. So the spread is measured: the largest change on any of some golden inputs when
    all f32 constants are nudged up or down at random, several times.
    """
    text = spec.instruction.texts[0] if spec.golden is None else spec.golden.instruction
    expected = _answers(model, spec, text)
    random = np.random.RandomState(0)
    spread = max(np.abs(_answers(_nudged(model, random), spec, text) - expected).max() for _ in range(_NUDGES))
    rows = tuple(tuple(row) for row in expected[0].tolist())
    sample = GoldenSample(text, rows, max(GOLDEN_TOLERANCE, MARGIN * float(spread)))
    return msgspec.structs.replace(spec, golden=sample, precision=precision)


def feed_of(spec: PolicySpec, batch: Batch, takes: set[str]) -> dict[str, np.ndarray]:
    """The inputs of ``batch`` by the graph's names, those that it ``takes``."""
    feed: dict[str, np.ndarray] = {f"image.{name}": image for name, image in batch.images.items()}
    feed |= {"state": batch.state, **spec.instruction.inputs(batch.ids(spec)), **batch.sampling}
    return {name: value for name, value in feed.items() if name in takes}


def _answers(model: onnx.ModelProto, spec: PolicySpec, text: str) -> F32:
    """To the golden inputs of each variant, f32[V, H, A]; the robot's are those of the first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    takes = {entry.name for entry in session.get_inputs()}
    feeds = (_feed(spec, text, takes, variant) for variant in range(_VARIANTS))
    return np.stack([session.run([OUTPUT], feed)[0][0] for feed in feeds])


def _feed(spec: PolicySpec, text: str, takes: set[str], variant: int) -> dict[str, np.ndarray]:
    images = {name: image[np.newaxis] for name, image in golden_images(spec, variant).items()}
    sampling = Sampler(spec, takes & set(OPTIONAL_INPUTS), Sampling()).inputs(None, variant)
    return feed_of(spec, Batch(images, golden_state(spec, variant)[np.newaxis], [text], sampling), takes)


def _nudged(model: onnx.ModelProto, random: np.random.RandomState) -> onnx.ModelProto:
    nudged = onnx.ModelProto()
    nudged.CopyFrom(model)
    for tensor in nudged.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            signs = random.choice([-1.0, 1.0], values.shape)
            tensor.CopyFrom(numpy_helper.from_array((values * (1.0 + NUDGE * signs)).astype(np.float32), tensor.name))
    return nudged
