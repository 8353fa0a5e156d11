"""int8: weights, and what they are multiplied with, as 8 bits in the layers that bear it; the other weights in half.

Matrix products find the range of their input in every call, convolutions have theirs fixed beforehand (``int8``) or
stay f32 (``int8-dynamic``): a product whose input joins keypoints, state and text loses too much with a fixed range, a
convolution has no fast kernel without. Weights are signed, one scale for each output channel, what they meet is
unsigned (U8S8). They use 7 of the 8 bits: CPUs without VNNI add pairs of products in 16 bits, where 8 would overflow
and the answer be another one than on the machine that exported.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process

from exporters.precision.half import halve
from exporters.precision.structure import CHANNELS, WEIGHTS, Structure
from vla_runtime.core.errors import PolicyFileError

__all__ = ["Feed", "Quantised", "quantise"]

Feed = Mapping[str, np.ndarray]
"""A graph's inputs by name."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """A graph, and how many of its layers compute with 8 bits."""

    model: onnx.ModelProto
    layers: int
    of: int


def quantise(source: Path, feeds: Sequence[Feed] = ()) -> Quantised:
    """The graph at ``source`` with its products in 8 bits and, given ``feeds``, its convolutions: their ranges reach
    from the least to the greatest that one of ``feeds`` leads to.

    Raises:
        PolicyFileError: no layer of the graph is worth it.
    """
    with tempfile.TemporaryDirectory() as directory, _silence():
        path = Path(directory) / "graph.onnx"
        # Symbolic shapes add nothing: only the batch is dynamic.
        quant_pre_process(source, path, skip_symbolic_shape=True)
        converted = ONNXModel(onnx.load(str(path)))
        converted.replace_gemm_with_matmul()
        converted.clean_initializers()
        structure = Structure(converted.model)
        products = structure.reducible("MatMul")
        convolutions = structure.reducible("Conv") if feeds else []
        if not products + convolutions:
            raise PolicyFileError(
                f"8 bits would change nothing: none of the graph's {len(structure.layers)} layers has {WEIGHTS} "
                f"weights, {CHANNELS} channels if it is a convolution, and others behind it; export with --precision "
                "fp16; no file was written"
            )
        onnx.save(converted.model, str(path))
        if products:
            _products(path, products)
        if convolutions:
            _convolutions(path, convolutions, feeds)
        model = onnx.load(str(path))
    halve(model)
    return Quantised(model, len(products) + len(convolutions), len(structure.layers))


def _products(path: Path, names: list[str]) -> None:
    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=names,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


def _convolutions(path: Path, names: list[str], feeds: Sequence[Feed]) -> None:
    quantize_static(
        path,
        path,
        _Feeds(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_quantize=names,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


class _Feeds(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._left, None)


@contextmanager
def _silence() -> Iterator[None]:
    """What the quantiser says is for its authors; errors still come as exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
