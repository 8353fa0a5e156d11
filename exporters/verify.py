"""A policy file that is already there: does it still keep what it says, and is it still that checkpoint's policy?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from exporters.export import FORMATS
from exporters.gate import (
    BATCH_SIZES,
    TOLERANCE,
    VARIANTS,
    Runner,
    action_scale,
    batch_inputs,
    check,
    sampling_inputs,
)
from exporters.precision.errors import WORST, check_errors, errors_by_unit, logged_batches, made_up_batches, unit_errors
from exporters.precision.observations import Observations
from exporters.precision.tolerance import DEFAULT, Tolerance, full_tolerance
from exporters.ties import without_ties
from vla_runtime.core.errors import PolicyFileError, VlaError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.core.types import F32
from vla_runtime.learn.checkpoint import Checkpoint
from vla_runtime.learn.infer import eager_logits
from vla_runtime.learn.torchscript_policy import TorchScriptPolicy
from vla_runtime.plugins.planners.golden import check_golden
from vla_runtime.plugins.policies.onnx import OnnxPolicy

__all__ = ["Check", "Verification", "verify"]


@dataclass(frozen=True)
class Check:
    """One thing that was asked of a file, and what came out."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verification:
    """All checks of ``file``; it ``passed`` if all did."""

    file: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        reasons = [f"{check.name}: {check.detail}" for check in self.checks if not check.passed]
        checks = {check.name: {"passed": check.passed, "detail": check.detail} for check in self.checks}
        ended = {"exit": "refused", "cause": "; ".join(reasons)} if reasons else {"exit": "done", "cause": ""}
        return {"file": str(self.file), "passed": self.passed, "checks": checks, **ended}


def verify(
    path: Path,
    checkpoint: Checkpoint | None = None,
    *,
    tolerance: Tolerance = DEFAULT,
    observations: Observations | None = None,
) -> Verification:
    """Every check that can be made of ``path``, an ONNX file or with the suffix ``.ts`` TorchScript.

    ``contract``: it can be opened as the robot opens it, the contract agrees with itself and with the graph's tensors.
    ``golden``: its golden sample comes out. ``batches``: batches of 1, 2 and 7 are answered, with chunks of the right
    shape that are finite. ``rows``: what a row is answered does not depend on the others in its batch. With a
    ``checkpoint``, ``origin``: the contract is that of the checkpoint and names it, and ``parity``: the gate of an
    export. What cannot be asked because an earlier check failed is left out.

    ``tolerance`` of an f32 file is one number, 1e-5 if none is given. A file of reduced precision is judged in the
    actions' units, on ``observations`` if there are any.

    Raises:
        ConfigError: a tolerance by unit, for an f32 file.
    """
    return Verification(path, tuple(_checks(path, checkpoint, tolerance, observations)))


def _checks(
    path: Path, checkpoint: Checkpoint | None, given: Tolerance, observations: Observations | None
) -> Iterator[Check]:
    kind = "torchscript" if path.suffix == ".ts" else "onnx"
    opened: list[Any] = []

    def contract() -> str:
        opened.append(TorchScriptPolicy(path) if kind == "torchscript" else OnnxPolicy(path))
        spec: PolicySpec = opened[0].spec
        return (
            f"{spec.name}: {spec.head} head, {spec.chunk_length} rows of {len(spec.actions)}, {spec.instruction.kind}"
        )

    yield (first := _check("contract", contract))
    if not first.passed:
        return
    spec, runner = opened[0].spec, FORMATS[kind].open(path)
    reduced = spec.precision != "fp32"
    tolerance = TOLERANCE if reduced else full_tolerance(given)
    yield _check("golden", lambda: f"differs by {check_golden(opened[0]):.2e}, allowed {spec.golden.tolerance:g}")
    yield (batches := _check("batches", lambda: _answers(spec, runner)))
    if batches.passed:
        allowed = given if reduced else tolerance
        yield _check("rows", lambda: _independent(spec, runner, checkpoint, allowed))
    if checkpoint is not None:
        yield (origin := _check("origin", lambda: _origin(spec, checkpoint)))
        if batches.passed and (origin.passed or _comparable(spec, checkpoint)):
            same = Checkpoint(spec, checkpoint.policy, checkpoint.policy_kwargs)
            continues = opened[0].continues
            if reduced:
                yield _check("parity", lambda: _in_units(same, runner, given, observations, continues))
            else:
                yield _check("parity", lambda: f"differs by {check(same, runner, tolerance, continues=continues):.2e}")


def _check(name: str, body: Callable[[], str]) -> Check:
    """Whatever a broken file makes its runtime raise is a failed check."""
    try:
        return Check(name, True, body())
    except VlaError as error:
        return Check(name, False, str(error))
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")


def _run(spec: PolicySpec, runner: Runner, batch: int, variant: int, rows: list[int] | None = None) -> F32:
    """The answer to ``rows`` of a batch, [len(rows), draws, H, A]; left out, to all of them."""
    images, state, texts = batch_inputs(spec, batch, variant)
    sampling = sampling_inputs(spec, batch, variant)
    picked = list(range(batch)) if rows is None else rows
    ids = np.array([spec.instruction.encode(texts[row]) for row in picked])
    given = {name: value[picked] for name, value in sampling.items()}
    found = runner({name: image[picked] for name, image in images.items()}, state[picked], ids, given)
    draws = sampling["noise"].shape[1] if sampling else 1
    wanted = (len(picked) * draws, spec.chunk_length, len(spec.actions))
    if found.shape != wanted:
        raise PolicyFileError(f"a batch of {len(picked)} gives {found.shape}, expected {wanted}")
    if not np.isfinite(found).all():
        raise PolicyFileError(f"a batch of {len(picked)} gives values that are not finite")
    return found.reshape(len(picked), draws, *wanted[1:])


def _answers(spec: PolicySpec, runner: Runner) -> str:
    for batch in BATCH_SIZES:
        for variant in range(VARIANTS):
            _run(spec, runner, batch, variant)
    return f"{', '.join(map(str, BATCH_SIZES))} with {VARIANTS} different inputs each, all finite"


def _independent(spec: PolicySpec, runner: Runner, checkpoint: Checkpoint | None, tolerance: Tolerance | float) -> str:
    """A batch in another order, and each of its rows alone. A tie of tokens is told by the checkpoint alone.

    A range that 8 bits span is found for a whole batch: with a ``Tolerance`` a row may differ by what it allows.
    """
    batch = BATCH_SIZES[-1]
    together = _run(spec, runner, batch, 1)
    order = list(reversed(range(batch)))
    alone = np.concatenate([_run(spec, runner, batch, 1, [row]) for row in range(batch)])
    turned = _run(spec, runner, batch, 1, order)[order]
    if isinstance(tolerance, Tolerance):
        errors = np.concatenate([np.abs(found - together) for found in (alone, turned)])
        found = errors_by_unit(spec, errors, tolerance.bounds(spec))
        beyond = [f"{e.max:.3g} in {e.unit}, allowed {WORST * e.bound:.3g}" for e in found if not e.within]
        if beyond:
            raise PolicyFileError(f"a row's answer depends on the others in its batch, by {'; '.join(beyond)}")
        return f"each alone and in another order differs by {errors.max():.2e}"
    allowed = tolerance * action_scale(spec)
    worst = max(float(np.abs(found - together).max()) for found in (alone, turned))
    if worst > allowed and spec.head == "tokens" and checkpoint is not None and _comparable(spec, checkpoint):
        logits = eager_logits(checkpoint.policy, spec, *batch_inputs(spec, batch, 1))
        given, expected = ([part[:, 0] for part in parts] for parts in ((alone, turned), (together, together)))
        ties = [without_ties(checkpoint, logits, *pair, tolerance) for pair in zip(given, expected, strict=True)]
        worst = max(float(error.max()) for error in ties)
    if not worst <= allowed:
        hint = (
            "; tokens that are equally likely do so too, which --checkpoint tells apart"
            if spec.head == "tokens"
            else ""
        )
        raise PolicyFileError(
            f"a row's answer depends on the others in its batch, by {worst:.3g}, allowed {allowed:.3g}{hint}"
        )
    return f"each alone and in another order differs by {worst:.2e}"


def _in_units(
    checkpoint: Checkpoint, runner: Runner, tolerance: Tolerance, observations: Observations | None, continues: bool
) -> str:
    spec = checkpoint.spec
    if observations is None:
        batches = made_up_batches(spec, continues=continues)
    else:
        batches = logged_batches(spec, [*observations.calibrate, *observations.judge], continues=continues)
    errors = unit_errors(checkpoint, runner, batches, tolerance.bounds(spec))
    check_errors(errors, spec.precision)
    return ", ".join(f"{error.unit}: p99 {error.p99:.2e}, max {error.max:.2e}" for error in errors)


def _origin(spec: PolicySpec, checkpoint: Checkpoint) -> str:
    if spec.checkpoint_sha256 != checkpoint.sha256:
        raise PolicyFileError(
            f"the file was exported from the checkpoint {spec.checkpoint_sha256[:12] or '(none named)'}, given "
            f"{checkpoint.sha256[:12]}"
        )
    theirs, ours = _trained(spec), _trained(checkpoint.spec)
    differing = [name for name in theirs if theirs[name] != ours[name]]
    if differing:
        raise PolicyFileError(f"the contract differs from the checkpoint's in {', '.join(differing)}")
    unknown = sorted(set(spec.instruction.texts) - set(checkpoint.spec.instruction.texts))
    if unknown:
        raise PolicyFileError(f"the checkpoint was not trained on {', '.join(map(repr, unknown))}")
    return f"checkpoint {checkpoint.sha256[:12]}"


def _trained(spec: PolicySpec) -> dict[str, Any]:
    """What an export leaves as it was."""
    left = {"instruction", "precision", "golden", "checkpoint_sha256", "exporter", "libraries"}
    return {field: value for field, value in msgspec.structs.asdict(spec).items() if field not in left}


def _comparable(spec: PolicySpec, checkpoint: Checkpoint) -> bool:
    """Whether the two take the same inputs, so that their answers can be compared."""
    names = ("chunk_length", "actions", "state", "cameras", "head")
    theirs, ours = _trained(spec), _trained(checkpoint.spec)
    shapes = all(theirs[name] == ours[name] for name in names)
    return shapes and set(spec.instruction.texts) <= set(checkpoint.spec.instruction.texts)
