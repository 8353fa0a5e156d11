"""The options of ``vla-export`` about precision, and what it says about a reduced file. Imports nothing heavy."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.precision.success import EPISODES, parse_evaluation
from exporters.precision.tolerance import DEFAULT, FULL_TOLERANCE, SHARE, Tolerance, full_tolerance, parse_tolerance
from vla_runtime.cli.common import print_json, teller
from vla_runtime.core.errors import ConfigError, PolicyFileError

if TYPE_CHECKING:
    from exporters.precision.reduced import Reduced

__all__ = ["add_precision", "export_with", "full_precision", "tolerance_of"]


def add_precision(options: argparse.ArgumentParser) -> None:
    """``--precision``, ``--tolerance``, ``--calibrate`` and ``--evaluate``."""
    options.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8", "int8-dynamic"),
        default="fp32",
        help="of an ONNX file (default fp32): weights stored in half, or 8 bits (-dynamic: in matrix products only)",
    )
    options.add_argument(
        "--tolerance",
        metavar="E",
        help=f"largest difference allowed (default: {FULL_TOLERANCE:g}); of a reduced precision the bound on the p99, "
        f"in the actions' units: a number, or rad=0.01,m=0.001 (default: {SHARE:.0%}% of their range)",
    )
    options.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="logged episodes, for the ranges of int8 and to judge with"
    )
    options.add_argument(
        "--evaluate",
        metavar="ROBOT:TASK[:N]",
        help=f"success of the fp32 and the reduced file in N episodes (default {EPISODES}) of vla-eval each",
    )


def full_precision(args: argparse.Namespace) -> float:
    """The tolerance of an f32 file.

    Raises:
        ConfigError: an option that only a reduced precision takes.
    """
    for option in ("calibrate", "evaluate"):
        if getattr(args, option) is not None:
            raise ConfigError("this is about a reduced precision, expected --precision beside it", f"--{option}")
    return full_tolerance(tolerance_of(args))


def tolerance_of(args: argparse.Namespace) -> Tolerance:
    """What ``--tolerance`` asks for.

    Raises:
        ConfigError: it is neither a number nor numbers by unit.
    """
    return DEFAULT if args.tolerance is None else parse_tolerance(args.tolerance)


def export_with(args: argparse.Namespace, targets: dict[str, Path]) -> int:
    """``vla-export --precision`` with a reduced one; returns the exit code."""
    tolerance = tolerance_of(args)
    evaluation = None if args.evaluate is None else parse_evaluation(args.evaluate)
    if list(targets) != ["onnx"]:
        raise PolicyFileError(
            f"--precision {args.precision} is for ONNX files, TorchScript stays fp32: expected --format onnx"
        )
    try:
        from exporters.precision.observations import read_observations
        from exporters.precision.reduced import export_reduced
        from exporters.told import told
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.checkpoint import load_checkpoint
    except ImportError as error:
        from vla_runtime.core.errors import MissingExtra

        raise MissingExtra("vla-export", "train") from error

    check_target(targets["onnx"])
    checkpoint = told(load_checkpoint(args.model), args.prompt, args.instruction)
    tell = teller(sys.stderr)
    done = export_reduced(
        checkpoint,
        targets["onnx"],
        args.precision,
        tolerance=tolerance,
        observations=None if args.calibrate is None else read_observations(args.calibrate, checkpoint.spec),
        evaluation=evaluation,
        continues=not args.no_continuation,
        say=lambda line: tell(f"vla-export: {line}"),
    )
    print(_text(done), file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print_json(_json(done))
    return 0


def _text(done: Reduced) -> str:
    files = (("fp32, not kept", done.full), (str(done.path), done.reduced))
    lines = [f"{'file':<32} {'kB':>8} {'ms':>8}  success"]
    lines += [f"{name:<32} {f.size_bytes / 1e3:8.1f} {f.latency_ms:8.3f}  {f.success or '-'}" for name, f in files]
    if done.layers:
        lines.append(f"{done.layers} of {done.of_layers} layers compute with 8 bits")
    judged = f"{done.judged_on} {'logged' if done.logged else 'made-up'} inputs"
    lines.append(f"{'error on ' + judged:<32} {'p99':>10} {'allowed':>10} {'max':>10} {'mean':>10}")
    lines += [f"{e.unit:<32} {e.p99:10.2e} {e.bound:10.2e} {e.max:10.2e} {e.mean:10.2e}" for e in done.errors]
    return "\n".join([*lines, f"golden sample within {done.golden_tolerance:.2g}"])


def _json(done: Reduced) -> dict[str, Any]:
    """The documented keys (docs/json.md)."""
    files = {"fp32": done.full, done.precision: done.reduced}
    return {
        "files": [str(done.path)],
        "precision": done.precision,
        "error": {e.unit: {"p99": e.p99, "max": e.max, "mean": e.mean, "allowed": e.bound} for e in done.errors},
        "judged_on": done.judged_on,
        "logged": done.logged,
        "int8_layers": done.layers,
        "layers": done.of_layers,
        "golden_tolerance": done.golden_tolerance,
        "size_bytes": {name: file.size_bytes for name, file in files.items()},
        "latency_ms": {name: file.latency_ms for name, file in files.items()},
        "success": {name: asdict(file.success) for name, file in files.items() if file.success},
    }
