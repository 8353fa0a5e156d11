"""Which executor of action chunks survives delay? Success, smoothness and reaction, in virtual time.

Part track: episodes of task track on robot arm, with physics and pictures. Parts react and clock: trials without
them, of the strategies alone. Every cell (executor, pattern, delay) goes into a file of its own under --out, named by
all that its figures depend on: an interrupted campaign goes on where it was, and nothing stale is taken for new.

examples:
  python -m benchmarks.chunks                                     everything that is missing: hours
  python -m benchmarks.chunks --parts react,clock --trials 200    minutes
  python -m benchmarks.chunks --executors latest,blend --delays 0,4,8 --patterns constant --rollouts 50
  python -m benchmarks.chunks --report                            docs/chunks-results.md and docs/chunks.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chunks.campaign import available, cells_of, run
from benchmarks.chunks.cells import Store
from benchmarks.chunks.executors import EXECUTORS
from benchmarks.chunks.plot import plot
from benchmarks.chunks.tables import page
from benchmarks.chunks.world import STEPS
from benchmarks.result import DIRECTORY
from vla_runtime.app.evaluate import FIRST_SEED
from vla_runtime.app.simulate.pool import default_workers

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_PARTS = ("react", "clock", "track")
_PATTERNS = ("constant", "jittered", "bursty")
_NAMES = tuple(one.name for one in EXECUTORS)
_CLOCK_EPISODES = 10


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    store = Store(options.out)
    if options.report:
        return _report(store, options.code, options.docs)
    wanted = [one for one in EXECUTORS if one.name in options.executors]
    usable = available(wanted, lambda line: print(line, flush=True))
    episodes = {"track": options.rollouts, "react": -(-options.trials // STEPS), "clock": _CLOCK_EPISODES}
    parts = [part for part in _PARTS if part in options.parts]
    cells = cells_of(parts, usable, options.patterns, options.delays, episodes, options.seed)
    try:
        run(cells, store, options.workers, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("interrupted; what is whole is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def _report(store: Store, code: str | None, docs: Path) -> int:
    found = store.of_code(code) if code else store.current(EXECUTORS)
    if not found:
        known = ", ".join(f"{version} ({count} cells)" for version, count in store.versions().items()) or "none"
        wanted = code or f"{store.code}, this one"
        print(f"there is no cell of code version {wanted}; there are: {known}; choose with --code", file=sys.stderr)
        return 2
    (docs / "chunks-results.md").write_text(page(found, _NAMES, code or store.code))
    (docs / "chunks.svg").write_text(plot(found, _NAMES))
    print(f"{len(found)} cells in {docs / 'chunks-results.md'} and {docs / 'chunks.svg'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chunks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--executors", type=_some(_NAMES), default=_NAMES, metavar="E,...", help=f"of {', '.join(_NAMES)}"
    )
    parser.add_argument(
        "--delays", type=_numbers, default=tuple(range(9)), metavar="D,...", help="policy steps (0 to 8)"
    )
    parser.add_argument(
        "--patterns", type=_some(_PATTERNS), default=_PATTERNS, metavar="P,...", help=f"of {', '.join(_PATTERNS)}"
    )
    parser.add_argument("--parts", type=_some(_PARTS), default=_PARTS, metavar="P,...", help=f"of {', '.join(_PARTS)}")
    parser.add_argument("--rollouts", type=_count, default=500, metavar="N", help="episodes of track (%(default)s)")
    parser.add_argument("--trials", type=_count, default=1000, metavar="N", help="steps of react (%(default)s)")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, metavar="S", help="of the first episode (%(default)s)")
    parser.add_argument(
        "--workers", type=_count, default=default_workers(), metavar="N", help="processes (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=DIRECTORY / "chunks", metavar="DIR", help="build/bench/chunks")
    parser.add_argument("--report", action="store_true", help="write the tables and the plot, run nothing")
    parser.add_argument("--code", metavar="HASH", help="report cells of this code version, not of the current one")
    parser.add_argument("--docs", type=Path, default=_DOCS, metavar="DIR", help="where the report goes (docs)")
    return parser


def _some(known: Sequence[str]):
    def parse(text: str) -> tuple[str, ...]:
        given = text.split(",")
        if strange := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{strange[0]!r} given, expected of {', '.join(known)}")
        return tuple(name for name in known if name in given)

    return parse


def _numbers(text: str) -> tuple[int, ...]:
    try:
        given = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} given, expected whole numbers with commas") from error
    if given[0] < 0:
        raise argparse.ArgumentTypeError(f"{given[0]} given, expected 0 or more")
    return tuple(given)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} given, expected at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
