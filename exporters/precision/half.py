"""fp16: large weights are stored with half the bits and become f32 when the file is opened; arithmetic stays f32.

Measured (docs/precision.md): ONNX Runtime's x86 kernels have no half precision, so a graph that computes in it casts
around every node, which is slower than f32 and loses more. The casts here are of constants, folded once at opening.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporters.precision.structure import Structure

__all__ = ["SMALLEST", "halve"]

SMALLEST = 256
"""Smaller constants stay f32: a scale, a bias and a normalisation cost nothing and reach everything."""
_LARGEST = float(np.finfo(np.float16).max)


def halve(model: onnx.ModelProto) -> None:
    """Store ``model``'s f32 weights in half precision, in place. Those that it cannot hold stay as they are, and so do
    the places of a spatial softmax."""
    places = Structure(model).places
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or prod(tensor.dims) < SMALLEST or tensor.name in places:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.abs(values).max() <= _LARGEST:
            continue
        name, stored = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
