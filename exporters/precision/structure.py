"""Which layers of a graph may compute with 8 bits, told from the graph's shape and sizes, never from names.

These stay as they are; what that costs or saves was measured on the arm's policies (docs/precision.md):

- the last layer: its answer is the action;
- the layer whose answer a spatial softmax turns into places: the softmax is of differences between large numbers;
- layers of few weights: nothing to gain;
- convolutions that read few channels: their 8-bit kernels are slower than those of f32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import onnx

__all__ = ["CHANNELS", "WEIGHTS", "Structure"]

WEIGHTS = 4096
"""A layer of fewer weights stays as it is."""
CHANNELS = 32
"""So does a convolution that reads fewer channels."""
_LAYERS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, eq=False)
class Structure:
    """A graph's layers: its convolutions and its products with a constant matrix of weights."""

    model: onnx.ModelProto

    @cached_property
    def layers(self) -> list[onnx.NodeProto]:
        """In the graph's order. The product that makes places of a softmax is none: its matrix is not learnt."""
        return [node for node in self._products if not self._is_expectation(node)]

    @property
    def places(self) -> set[str]:
        """The constants that a softmax's expectation is taken over."""
        return {node.input[1] for node in self._products if self._is_expectation(node)}

    def reducible(self, kind: str) -> list[str]:
        """The names of the layers with the operator ``kind`` that may compute with 8 bits.

        A matrix that several layers share is reduced in all of them or in none: else the file would hold it twice.
        """
        softmaxes = [node.input[0] for node in self._products if self._is_expectation(node)]
        ends = [out.name for out in self.model.graph.output]
        kept = {layer.input[1] for tensor in softmaxes + ends for layer in self._nearest_layers(tensor)}
        kept |= {layer.input[1] for layer in self.layers if layer.op_type != kind or self._gains_nothing(layer)}
        return [layer.name for layer in self.layers if layer.input[1] not in kept]

    def _gains_nothing(self, layer: onnx.NodeProto) -> bool:
        size = self._sizes[layer.input[1]]
        return prod(size) < WEIGHTS or (layer.op_type == "Conv" and size[1] < CHANNELS)

    def _nearest_layers(self, tensor: str) -> Iterator[onnx.NodeProto]:
        """Those that ``tensor`` is made from with no other layer in between."""
        ahead, seen = [tensor], set()
        while ahead:
            name = ahead.pop()
            node = self._makers.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if node.op_type in _LAYERS and node.input[1] in self._sizes and not self._is_expectation(node):
                yield node
            else:
                ahead += node.input

    def _is_expectation(self, node: onnx.NodeProto) -> bool:
        maker = self._makers.get(node.input[0])
        return node.op_type == "MatMul" and maker is not None and maker.op_type == "Softmax"

    @cached_property
    def _products(self) -> list[onnx.NodeProto]:
        return [node for node in self.model.graph.node if node.op_type in _LAYERS and node.input[1] in self._sizes]

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, ...]]:
        return {entry.name: tuple(entry.dims) for entry in self.model.graph.initializer}

    @cached_property
    def _makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output}
