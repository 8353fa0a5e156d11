"""A policy file of reduced precision: made of the f32 file, judged in action units, and only then given its name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from exporters.export import export
from exporters.gate import check_golden
from exporters.latency import runner_latency_ms
from exporters.onnx_file import open_onnx, read_contract
from exporters.precision.errors import (
    Batch,
    UnitError,
    check_errors,
    logged_batches,
    made_up_batches,
    unit_errors,
)
from exporters.precision.golden import attach_contract, feed_of, golden_sample
from exporters.precision.half import halve
from exporters.precision.int8 import Quantised, quantise
from exporters.precision.observations import Observations
from exporters.precision.structure import Structure
from exporters.precision.success import Evaluation, Success, check_success, measure
from exporters.precision.tolerance import DEFAULT, Tolerance
from vla_runtime.core.errors import ConfigError, choices
from vla_runtime.core.spec import Precision
from vla_runtime.learn.atomic import replacing
from vla_runtime.learn.checkpoint import Checkpoint

__all__ = ["PRECISIONS", "FileFigures", "Reduced", "export_reduced"]

PRECISIONS: tuple[Precision, ...] = ("fp16", "int8", "int8-dynamic")


@dataclass(frozen=True)
class FileFigures:
    """Of one file: its bytes, the median latency at batch size one, and its success, where that was measured."""

    size_bytes: int
    latency_ms: float
    success: Success | None = None


@dataclass(frozen=True)
class Reduced:
    """A written file of reduced precision beside the f32 file that it was made of.

    ``judged_on`` inputs were compared, ``logged`` or made up; ``layers`` of ``of_layers`` compute with 8 bits.
    """

    path: Path
    precision: Precision
    errors: Sequence[UnitError]
    judged_on: int
    logged: bool
    layers: int
    of_layers: int
    golden_tolerance: float
    full: FileFigures
    reduced: FileFigures


def export_reduced(
    checkpoint: Checkpoint,
    path: Path,
    precision: Precision,
    *,
    tolerance: Tolerance = DEFAULT,
    observations: Observations | None = None,
    evaluation: Evaluation | None = None,
    continues: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Reduced:
    """Write ``path`` or nothing.

    ``observations`` calibrate static int8, and judge any precision; without them made-up inputs judge. ``evaluation``
    measures the success of both files, which may refuse the reduced one. ``say`` is told what is going on.

    Raises:
        PolicyFileError: the f32 graph or the reduced one did not pass, or ``path`` cannot be written.
        ConfigError: another precision, int8 without ``observations``, or a tolerance in a unit that no action has.
        Refusal, Fault: the evaluation ended so.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"{precision!r} given; {choices(precision, PRECISIONS)}", "--precision")
    if precision == "int8" and observations is None:
        raise ConfigError(
            "int8 fixes its ranges beforehand, from what the policy will see: expected a directory of logged episodes "
            "(vla-train collect or vla-run --log write them); int8-dynamic needs none",
            "--calibrate",
        )
    bounds = tolerance.bounds(checkpoint.spec)
    with replacing(path) as draft, tempfile.TemporaryDirectory() as directory:
        full, reduced = Path(directory) / "fp32.onnx", Path(directory) / "reduced.onnx"
        say("the fp32 graph and its parity")
        exported = export(checkpoint, {"onnx": full}, continues=continues)["onnx"]
        say(precision)
        made = _reduce(checkpoint, full, precision, observations)
        spec = golden_sample(made.model, read_contract(full), precision)
        reduced.write_bytes(attach_contract(made.model, spec))

        runner = open_onnx(reduced)
        batches = _judges(checkpoint, observations, continues)
        errors = unit_errors(checkpoint, runner, batches, bounds)
        check_errors(errors, precision)
        check_golden(read_contract(reduced), runner)
        successes: list[Success | None] = [None, None]
        if evaluation is not None:
            say(f"{evaluation.episodes} episodes of {evaluation.task} with each file")
            successes = [measure(file, evaluation) for file in (full, reduced)]
            check_success(successes[1], successes[0])
        draft.write_bytes(reduced.read_bytes())
        return Reduced(
            path=path,
            precision=precision,
            errors=errors,
            judged_on=sum(len(batch.texts) for batch in batches),
            logged=observations is not None,
            layers=made.layers,
            of_layers=made.of,
            golden_tolerance=spec.golden.tolerance,
            full=FileFigures(exported.size_bytes, runner_latency_ms(checkpoint, open_onnx(full)), successes[0]),
            reduced=FileFigures(reduced.stat().st_size, runner_latency_ms(checkpoint, runner), successes[1]),
        )


def _reduce(checkpoint: Checkpoint, full: Path, precision: Precision, observations: Observations | None) -> Quantised:
    if precision == "int8-dynamic":
        return quantise(full)
    model = onnx.load(str(full))
    if precision == "fp16":
        layers = len(Structure(model).layers)
        halve(model)
        return Quantised(model, 0, layers)
    assert observations is not None
    takes = {entry.name for entry in model.graph.input}
    spec = checkpoint.spec
    batches = logged_batches(spec, observations.calibrate, sizes=(1,))
    return quantise(full, [feed_of(spec, batch, takes) for batch in batches])


def _judges(checkpoint: Checkpoint, observations: Observations | None, continues: bool) -> list[Batch]:
    if observations is None:
        return made_up_batches(checkpoint.spec, continues=continues)
    return logged_batches(checkpoint.spec, observations.judge, continues=continues)
