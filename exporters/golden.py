"""The golden sample: the chunk that fixed inputs must give, stored in the file and replayed before anything moves."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
import torch

from exporters.graph import PolicyGraph
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampler, Sampling
from vla_runtime.core.spec import GoldenSample, PolicySpec
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.infer import eager_logits

__all__ = ["GOLDEN_TOLERANCE", "complete_contract"]

GOLDEN_TOLERANCE = 1e-4
"""Allowed between the exporting machine and the robot, physical units: other CPUs sum in another order."""
_LIBRARIES = ("torch", "torchrl", "tensordict", "onnx", "onnxscript", "onnxruntime")


def complete_contract(checkpoint: Checkpoint) -> PolicySpec:
    """The checkpoint's contract with its golden sample, origin and versions.

    The sample is of a batch of one and the first instruction, or with a token head of the one whose tokens are the most
    certain: the robot's CPU must not fall on the other side of a tie. A policy that samples gets one draw of noise, of
    seed 0, and no chunk to continue.
    """
    spec = checkpoint.spec
    text = max(spec.instruction.texts, key=lambda text: _certainty(checkpoint, text))
    inputs = {f"image.{name}": image[None] for name, image in golden_images(spec).items()}
    inputs |= {"state": golden_state(spec)[None], **spec.instruction.inputs([spec.instruction.encode(text)])}
    graph = PolicyGraph(checkpoint).eval()
    if graph.samples:
        inputs |= Sampler(spec, OPTIONAL_INPUTS, Sampling()).inputs(None, 0)
    with torch.no_grad():
        chunk = graph(*(torch.from_numpy(inputs[name]) for name in graph.names))[0]
    rows = tuple(tuple(row) for row in chunk.tolist())
    return msgspec.structs.replace(
        spec,
        golden=GoldenSample(text, rows, GOLDEN_TOLERANCE),
        checkpoint_sha256=checkpoint.sha256,
        exporter=f"vla-runtime {version('vla-runtime')}",
        libraries={name: version(name) for name in _LIBRARIES},
    )


def _certainty(checkpoint: Checkpoint, text: str) -> float:
    """By how much the likeliest token leads in the closest race of the golden sample for ``text``; 0 without tokens."""
    spec = checkpoint.spec
    if spec.head != "tokens":
        return 0.0
    images = {name: image[None] for name, image in golden_images(spec).items()}
    best = eager_logits(checkpoint.policy, spec, images, golden_state(spec)[None], [text]).topk(2, dim=-1).values
    return (best[..., 0] - best[..., 1]).min().item()
