"""What reduced precision costs, measured against the eager f32 policy and told in the actions' units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from exporters.gate import BATCH_SIZES, VARIANTS, Runner, batch_inputs, sampling_inputs
from exporters.graph import CONTINUATION
from exporters.precision.observations import Observation
from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32, U8
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.infer import eager_chunk

__all__ = [
    "WORST",
    "Batch",
    "UnitError",
    "check_errors",
    "errors_by_unit",
    "logged_batches",
    "made_up_batches",
    "unit_errors",
]

WORST = 4.0
"""The largest error may be this many times the bound, which 99 in 100 values keep."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of a call: camera name to u8[B, H, W, 3], f32[B, S], B instructions, and what a sampling policy takes."""

    images: dict[str, U8]
    state: F32
    texts: list[str]
    sampling: dict[str, np.ndarray]

    def ids(self, spec: PolicySpec) -> np.ndarray:
        """i64[B]."""
        return np.array([spec.instruction.encode(text) for text in self.texts])


@dataclass(frozen=True)
class UnitError:
    """Over all values of the actions of one unit, absolute, in that unit. ``bound`` is what was allowed for ``p99``."""

    unit: str
    max: float
    mean: float
    p99: float
    bound: float

    @property
    def within(self) -> bool:
        """NaN is not."""
        return self.p99 <= self.bound and self.max <= WORST * self.bound


def logged_batches(
    spec: PolicySpec, observations: Sequence[Observation], *, sizes: Sequence[int] = BATCH_SIZES, continues: bool = True
) -> list[Batch]:
    """``observations`` in batches of ``sizes``, in turn: what one row is answered must not depend on the others."""
    batches: list[Batch] = []
    first = 0
    for size in cycle(sizes):
        taken = observations[first : first + size]
        if not taken:
            break
        first += size
        batches.append(
            Batch(
                {camera.name: np.stack([one.images[camera.name] for one in taken]) for camera in spec.cameras},
                np.stack([one.state for one in taken]),
                [one.instruction for one in taken],
                _sampling(spec, len(taken), len(batches), continues),
            )
        )
    return batches


def made_up_batches(spec: PolicySpec, *, continues: bool) -> list[Batch]:
    """The inputs that the gate of an f32 file uses, for who has no logs."""
    return [
        Batch(*batch_inputs(spec, size, variant), _sampling(spec, size, variant, continues))
        for size in BATCH_SIZES
        for variant in range(VARIANTS)
    ]


def unit_errors(
    checkpoint: Checkpoint, runner: Runner, batches: Sequence[Batch], bounds: Mapping[str, float]
) -> list[UnitError]:
    """Of each unit in ``bounds``; infinite where an answer is not finite or of another shape."""
    spec = checkpoint.spec
    pairs = [
        (
            runner(batch.images, batch.state, batch.ids(spec), batch.sampling),
            eager_chunk(checkpoint.policy, spec, batch.images, batch.state, batch.texts, **batch.sampling),
        )
        for batch in batches
    ]
    if any(given.shape != expected.shape or not np.isfinite(given).all() for given, expected in pairs):
        return [UnitError(unit, *[float("inf")] * 3, bound) for unit, bound in bounds.items()]
    return errors_by_unit(spec, np.concatenate([np.abs(given - expected) for given, expected in pairs]), bounds)


def errors_by_unit(spec: PolicySpec, errors: F32, bounds: Mapping[str, float]) -> list[UnitError]:
    """Sum up ``errors`` f32[..., A], absolute, of each unit in ``bounds``."""
    found = []
    for unit, bound in bounds.items():
        those = errors[..., [index for index, action in enumerate(spec.actions) if action.unit == unit]]
        p99 = float(np.quantile(those, 0.99))
        found.append(UnitError(unit, float(those.max()), float(those.mean()), p99, bound))
    return found


def check_errors(errors: Sequence[UnitError], precision: str) -> None:
    """Raise PolicyFileError if one is beyond its bound."""
    beyond = [
        f"{error.unit}: p99 {error.p99:.3g}, max {error.max:.3g}, allowed {error.bound:.3g} and "
        f"{WORST * error.bound:.3g}"
        for error in errors
        if not error.within
    ]
    if beyond:
        raise PolicyFileError(
            f"the {precision} graph differs from the eager policy by more than --tolerance allows, "
            f"{'; '.join(beyond)}; no file was written"
        )


def _sampling(spec: PolicySpec, batch: int, variant: int, continues: bool) -> dict[str, np.ndarray]:
    given = sampling_inputs(spec, batch, variant % VARIANTS)
    if continues:
        return given
    return given | {name: np.zeros_like(given[name]) for name in CONTINUATION if name in given}
