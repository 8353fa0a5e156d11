"""``vla-train store``: demonstrations written once as tensors, for training on more than fits into memory."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from vla_runtime.cli.common import help_format, print_json, teller
from vla_runtime.cli.set_options import add_set_options, set_options_of
from vla_runtime.core.errors import MissingExtra

__all__ = ["add_store", "store"]

_EXAMPLES = """\
  vla-train store --data episodes --out reach.store        decode all frames once
  vla-train bc --data reach.store --out reach.pt           then train on it, however large it is
  vla-train store --data aloha --out aloha.store --chunk-length 50 --json

DIR holds episodes (*.mcap), or is a store or another project's data set. Interrupted, it leaves nothing behind."""


def add_store(methods: Any) -> None:
    """The sub-command's parser among ``methods``, as argparse's ``add_subparsers`` gives them."""
    about = "Write demonstrations as a store: memory-mapped tensors with their statistics."
    options = methods.add_parser("store", help="demonstrations to tensors on disk", **help_format(about, _EXAMPLES))
    options.add_argument("--data", type=Path, required=True, metavar="DIR", help="the demonstrations")
    options.add_argument("--out", type=Path, required=True, metavar="STORE", help="the new directory to write")
    add_set_options(options)
    options.add_argument("--quiet", action="store_true", help="no progress and no report")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")


def store(args: argparse.Namespace) -> int:
    """Carry it out; returns the exit code."""
    given = set_options_of(args)
    try:
        from vla_runtime.learn.store.sources import left_out, open_source
        from vla_runtime.learn.store.write import check_new, store_bytes, write_store
    except ImportError as error:
        raise MissingExtra("vla-train", "train") from error
    from vla_runtime.app.simulate.pool import sigterm_interrupts

    tell = teller(sys.stderr)
    say = (lambda line: None) if args.quiet else (lambda line: tell(f"vla-train: {line}"))
    begun = time.perf_counter()
    check_new(args.out)
    with sigterm_interrupts():
        source = open_source(args.data, options=given, say=say)
        samples = sum(source.lengths)
        say(f"{samples} samples of {len(source.lengths)} episodes, {store_bytes(source.facts, samples) / 1e9:.2f} GB")
        record = write_store(source, args.out, say)
    missing = left_out(source)
    for cause in list(missing.unusable.values())[:3]:
        say(f"left out: {cause}")
    report = {
        "store": str(args.out),
        "data": str(args.data),
        "name": record.facts.name,
        "episodes": record.episodes,
        "samples": record.samples,
        "frames": record.samples * len(record.facts.cameras),
        "chunk_length": record.facts.chunk_length,
        "instructions": len(record.instructions),
        "bytes": sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file()),
        "unusable": dict(missing.unusable),
        "truncated": missing.truncated,
        "skipped": dict(missing.skipped),
        "write_s": time.perf_counter() - begun,
    }
    if not args.quiet:
        line = f"{args.out}: {record.samples} samples of {record.episodes} episodes, {report['bytes'] / 1e9:.2f} GB"
        print(f"{line}, in {report['write_s']:.1f} s", file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print_json(report)
    return 0
