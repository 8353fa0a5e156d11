"""``vla-export``: a checkpoint becomes a policy file, or a message says why not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from exporters.precision.options import add_precision, export_with, full_precision, tolerance_of
from vla_runtime.cli.common import command, parser, print_json
from vla_runtime.core.errors import PolicyFileError

__all__ = ["main"]

_EXAMPLES = """\
  vla-export model.pt                            model.onnx beside it, for the robot
  vla-export model.pt --out policies/arm.onnx    another name
  vla-export model.pt --format both --json       model.onnx and model.ts, a JSON report on the last line
  vla-export model.pt --prompt fixed --instruction 'pick the plum'    a file for this instruction alone
  vla-export --verify model.onnx --checkpoint model.pt                is this file still that policy?
  vla-export model.pt --precision fp16           half the size
  vla-export model.pt --precision int8 --calibrate episodes --evaluate arm:reach
                                                 8 bits; success of fp32 and int8 on the same episodes

A file is written only if it agrees with the eager policy on several inputs and batch sizes. Refused or interrupted,
it leaves nothing behind."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser()
    args = options.parse_args(argv)
    if (args.model is None) == (args.verify is None):
        options.error("expected a checkpoint to export, or --verify FILE")
    if args.checkpoint is not None and args.verify is None:
        options.error("--checkpoint belongs to --verify: the checkpoint to export stands alone")
    if args.verify is not None and (args.precision != "fp32" or args.evaluate is not None):
        options.error("--precision and --evaluate belong to an export: a file says its precision itself")
    if args.verify is not None and args.calibrate is not None and args.checkpoint is None:
        options.error("--calibrate shows a file and its checkpoint what was logged: expected --checkpoint")
    return command("vla-export", lambda: _verify(args) if args.verify else _export(args), args.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("vla-export", "Turn a checkpoint of vla-train into a policy file for vla-run.", _EXAMPLES)
    options.add_argument("model", type=Path, nargs="?", metavar="checkpoint", help="model.pt, as written by vla-train")
    options.add_argument("--verify", type=Path, metavar="FILE", help="instead: check a policy file, write nothing")
    options.add_argument("--checkpoint", type=Path, metavar="MODEL", help="with --verify: what it was exported from")
    options.add_argument("--out", type=Path, help="the file to write (default: beside the checkpoint)")
    options.add_argument("--format", choices=("onnx", "torchscript", "both"), help="default: by --out's suffix")
    add_precision(options)
    options.add_argument(
        "--no-continuation",
        action="store_true",
        help="a flow policy's graph takes no chunk to continue (real-time chunking)",
    )
    options.add_argument(
        "--prompt",
        choices=("fixed", "table", "tokens"),
        help="how the robot tells it what to do: not at all, by the text's number, by its tokens (default: as trained)",
    )
    options.add_argument("--instruction", metavar="TEXT", help="of --prompt fixed, where there are several")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    return options


def _targets(args: argparse.Namespace) -> dict[str, Path]:
    """Format to file. ``--out`` names the file of one format; of both it is the name before the suffixes."""
    base = args.out or args.model
    if args.format == "both":
        return {"onnx": base.with_suffix(".onnx"), "torchscript": base.with_suffix(".ts")}
    kind = args.format or ("torchscript" if args.out and args.out.suffix == ".ts" else "onnx")
    if args.out and args.out.resolve() == args.model.resolve():
        raise PolicyFileError(f"--out {args.out} is the checkpoint itself, expected another name")
    return {kind: args.out or base.with_suffix({"onnx": ".onnx", "torchscript": ".ts"}[kind])}


def _verify(args: argparse.Namespace) -> int:
    tolerance = tolerance_of(args)
    try:
        from exporters.precision.observations import read_observations
        from exporters.verify import verify
        from vla_runtime.learn.checkpoint import load_checkpoint
    except ImportError as error:
        from vla_runtime.core.errors import MissingExtra

        raise MissingExtra("vla-export", "train") from error

    checkpoint = load_checkpoint(args.checkpoint) if args.checkpoint else None
    seen = read_observations(args.calibrate, checkpoint.spec) if args.calibrate and checkpoint else None
    found = verify(args.verify, checkpoint, tolerance=tolerance, observations=seen)
    people = sys.stderr if args.json else sys.stdout
    for check in found.checks:
        print(f"{'passed' if check.passed else 'FAILED':<7} {check.name:<16} {check.detail}", file=people)
    if args.json:
        print_json(found.as_json())
    return 0 if found.passed else PolicyFileError.exit_code


def _export(args: argparse.Namespace) -> int:
    targets = _targets(args)
    if args.precision != "fp32":
        return export_with(args, targets)
    tolerance = full_precision(args)
    try:
        from exporters.export import export
        from exporters.latency import eager_latency_ms
        from exporters.told import told
        from vla_runtime.learn.atomic import check_target
        from vla_runtime.learn.checkpoint import load_checkpoint
    except ImportError as error:
        from vla_runtime.core.errors import MissingExtra

        raise MissingExtra("vla-export", "train") from error

    for path in targets.values():
        check_target(path)
    people = sys.stderr if args.json else sys.stdout
    checkpoint = told(load_checkpoint(args.model), args.prompt, args.instruction)
    eager = eager_latency_ms(checkpoint)
    written = export(checkpoint, targets, tolerance=tolerance, continues=not args.no_continuation)

    spec = checkpoint.spec
    cameras = ", ".join(f"{camera.name} {camera.height}x{camera.width}" for camera in spec.cameras)
    print(f"{spec.name}: {spec.head} head, {spec.chunk_length} rows of {len(spec.actions)}, {cameras}", file=people)
    print(f"{'file':<32} {'kB':>8} {'max error':>10} {'golden':>10} {'ms':>8}", file=people)
    print(f"{'(eager)':<32} {'':>8} {'':>10} {'':>10} {eager:8.3f}", file=people)
    for e in written.values():
        print(
            f"{e.path!s:<32} {e.size_bytes / 1e3:8.1f} {e.max_abs_error:10.2e} {e.golden_error:10.2e} "
            f"{e.latency_ms:8.3f}",
            file=people,
        )
    if args.json:
        report = {
            "files": [str(e.path) for e in written.values()],
            "max_abs_error": {kind: e.max_abs_error for kind, e in written.items()},
            "latency_ms": {"eager": eager, **{kind: e.latency_ms for kind, e in written.items()}},
        }
        print_json(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
