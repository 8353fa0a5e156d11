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

__all__ = ["GOLDEN_TOLERANCE", "complete_contract"]

GOLDEN_TOLERANCE = 1e-4
"""Allowed between the exporting machine and the robot, physical units: other CPUs sum in another order."""
_LIBRARIES = ("torch", "torchrl", "tensordict", "onnx", "onnxscript", "onnxruntime")


def complete_contract(checkpoint: Checkpoint) -> PolicySpec:
    """The checkpoint's contract with its golden sample, origin and versions.

    The sample is of the first instruction and a batch of one; a policy that samples gets one draw of noise, of seed 0,
    and no chunk to continue.
    """
    spec = checkpoint.spec
    images, state = golden_images(spec), golden_state(spec)
    text = spec.instruction.texts[0]
    inputs = [torch.from_numpy(images[camera.name])[None] for camera in spec.cameras]
    inputs += [torch.from_numpy(state)[None], torch.tensor([spec.instruction.encode(text)])]
    graph = PolicyGraph(checkpoint).eval()
    if graph.samples:
        sampling = Sampler(spec, OPTIONAL_INPUTS, Sampling()).inputs(None, 0)
        inputs += [torch.from_numpy(sampling[name]) for name in OPTIONAL_INPUTS]
    with torch.no_grad():
        chunk = graph(*inputs)[0]
    rows = tuple(tuple(row) for row in chunk.tolist())
    return msgspec.structs.replace(
        spec,
        golden=GoldenSample(text, rows, GOLDEN_TOLERANCE),
        checkpoint_sha256=checkpoint.sha256,
        exporter=f"vla-runtime {version('vla-runtime')}",
        libraries={name: version(name) for name in _LIBRARIES},
    )
