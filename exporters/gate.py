"""The gate: a written file must agree with the eager policy on different inputs and batch sizes, or it is no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from exporters.graph import CONTINUATION
from exporters.ties import without_ties
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.golden import golden_images, golden_state
from vla_runtime.core.sampling import OPTIONAL_INPUTS, Sampler, Sampling
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.infer import eager_chunk, eager_logits

__all__ = [
    "BATCH_SIZES",
    "DRAWS",
    "TOLERANCE",
    "VARIANTS",
    "Runner",
    "action_scale",
    "batch_inputs",
    "check",
    "check_golden",
    "max_abs_error",
    "sampling_inputs",
]

Runner = Callable[[dict[str, U8], F32, np.ndarray, Mapping[str, np.ndarray]], F32]
"""Camera name to u8[B, H, W, 3], f32[B, S], i64[B] and the optional inputs by name to f32[B * N, chunk_length, A]."""
BATCH_SIZES = (1, 2, 7)
VARIANTS = 3
DRAWS = (1, 3, 2)
"""Of each variant, for a policy that samples."""
TOLERANCE = 1e-5


def batch_inputs(spec: PolicySpec, batch: int, variant: int) -> tuple[dict[str, U8], F32, list[str]]:
    """Images, state and instructions of a batch in which every row differs; another ``variant``, other rows."""
    rows = [variant * batch + row for row in range(batch)]
    pictures = [golden_images(spec, row) for row in rows]
    images = {camera.name: np.stack([picture[camera.name] for picture in pictures]) for camera in spec.cameras}
    texts = [spec.instruction.texts[row % len(spec.instruction.texts)] for row in rows]
    return images, np.stack([golden_state(spec, row) for row in rows]), texts


def sampling_inputs(spec: PolicySpec, batch: int, variant: int) -> dict[str, np.ndarray]:
    """The optional inputs of a policy that samples, every row of the batch another: noise, chunks that are not far from
    what it was trained on, delays from 0 to half a chunk, weights. The first variant continues nothing. Empty for a
    policy that does not sample.
    """
    if spec.head != "flow":
        return {}
    random = np.random.RandomState(1 + variant)
    rows, actions = spec.chunk_length, len(spec.actions)
    noise = random.standard_normal((batch, DRAWS[variant % len(DRAWS)], rows, actions)).astype(np.float32)
    if variant == 0:
        nothing = Sampler(spec, OPTIONAL_INPUTS, Sampling()).inputs(None, 0)
        return {name: np.repeat(value, batch, 0) for name, value in nothing.items()} | {"noise": noise}
    mean, std = np.array(spec.normalisation.action_mean), np.array(spec.normalisation.action_std)
    return {
        "noise": noise,
        "prev_chunk": (mean + std * random.standard_normal((batch, rows, actions))).astype(np.float32),
        "delay": (np.arange(batch) + variant) % (rows // 2 + 1),
        "prefix_weights": random.uniform(size=(batch, rows)).astype(np.float32),
    }


def max_abs_error(
    checkpoint: Checkpoint, runner: Runner, tolerance: float = TOLERANCE, *, continues: bool = True
) -> float:
    """The largest difference, physical units, over every batch size and variant; infinite if a shape is wrong.

    Without ``continues`` no variant has a chunk to continue. A token that differs by a tie within ``tolerance`` does
    not count: see ``ties``.
    """
    spec = checkpoint.spec
    worst = 0.0
    for batch in BATCH_SIZES:
        for variant in range(VARIANTS):
            images, state, texts = batch_inputs(spec, batch, variant)
            sampling = sampling_inputs(spec, batch, variant)
            if not continues:
                sampling |= {name: np.zeros_like(sampling[name]) for name in CONTINUATION if name in sampling}
            expected = eager_chunk(checkpoint.policy, spec, images, state, texts, **sampling)
            given = _answer(runner, images, state, [spec.instruction.encode(text) for text in texts], sampling)
            if given.shape != expected.shape or not np.isfinite(given).all():
                return float("inf")
            error = np.abs(given - expected)
            if spec.head == "tokens" and error.max() > tolerance * action_scale(spec):
                logits = eager_logits(checkpoint.policy, spec, images, state, texts)
                error = without_ties(checkpoint, logits, given, expected, tolerance)
            worst = max(worst, float(error.max()))
    return worst


def _answer(
    runner: Runner, images: dict[str, U8], state: F32, ids: list[int], sampling: Mapping[str, np.ndarray]
) -> F32:
    """Each runtime raises errors of its own where a graph cannot take a batch.

    Raises:
        PolicyFileError: this one cannot.
    """
    try:
        return runner(images, state, np.array(ids), sampling)
    except Exception as error:
        why = (str(error).strip().splitlines() or [""])[-1]
        raise PolicyFileError(
            f"the exported graph cannot answer a batch of {len(ids)}: {why}; no file was written"
        ) from error


def action_scale(spec: PolicySpec) -> float:
    """What a tolerance is relative to: the largest action of the training data, at least 1."""
    return max(1.0, *(max(abs(action.low), abs(action.high)) for action in spec.actions))


def check(checkpoint: Checkpoint, runner: Runner, tolerance: float = TOLERANCE, *, continues: bool = True) -> float:
    """Hold ``runner`` against the eager policy; returns the largest difference.

    ``tolerance`` is relative to the actions' scale where that is above 1: float32 has no more digits to give.

    Raises:
        PolicyFileError: they differ by more.
    """
    scale = action_scale(checkpoint.spec)
    error = max_abs_error(checkpoint, runner, tolerance, continues=continues)
    if not error <= tolerance * scale:
        raise PolicyFileError(
            f"the exported graph differs from the eager policy by {error:.3g}, allowed {tolerance * scale:.3g}, over "
            f"batch sizes {', '.join(map(str, BATCH_SIZES))} and {VARIANTS} different inputs each; no file was written"
        )
    return error


def check_golden(spec: PolicySpec, runner: Runner) -> float:
    """Replay the golden sample that ``spec`` carries, as the robot will; returns the largest difference.

    Raises:
        PolicyFileError: there is none, or the answer differs by more than its tolerance.
    """
    if spec.golden is None:
        raise PolicyFileError("the exported file carries no golden sample; no file was written")
    images = {name: image[np.newaxis] for name, image in golden_images(spec).items()}
    ids = np.array([spec.instruction.encode(spec.golden.instruction)])
    sampling = Sampler(spec, OPTIONAL_INPUTS if spec.head == "flow" else (), Sampling()).inputs(None, 0)
    given = runner(images, golden_state(spec)[np.newaxis], ids, sampling)[0]
    error = float(np.abs(given - np.array(spec.golden.actions)).max())
    if not error <= spec.golden.tolerance:
        raise PolicyFileError(
            f"the exported file misses its own golden sample by {error:.3g}, allowed {spec.golden.tolerance:g}; "
            "no file was written"
        )
    return error
