"""The fault campaign: ``python -m tests.faults --repeats 20``. Ends with 1 if any row failed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timezone
from pathlib import Path
from threading import Event

import psutil

from .campaign import Outcome, missing, run_once
from .demands import Row
from .page import machine, page
from .results import Result, results
from .setting import QUICK
from .table import all_rows

_EXAMPLES = """\
examples:
  python -m tests.faults --repeats 20 --write docs/faults.md
  python -m tests.faults --only camera --only planner-sigkill
  python -m tests.faults --list"""


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    options.add_argument("--repeats", type=int, default=1, metavar="N", help="how often each row is run (default 1)")
    options.add_argument("--jobs", type=int, default=1, metavar="N", help="how many repeats go at once (default 1)")
    options.add_argument("--only", action="append", default=[], metavar="TEXT", help="rows with TEXT in their name")
    options.add_argument("--list", action="store_true", help="say which rows there are, and run none")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the table of the results to PAGE")
    options.add_argument("--json", action="store_true", help="print the results as one JSON object on the last line")
    arguments = options.parse_args()

    def chosen() -> list[Row]:
        """Made anew for each repeat: a fault may count what it has done, and repeats may go at once."""
        named = arguments.only or [""]
        return [row for row in all_rows(QUICK) if any(text in row.name for text in named)]

    rows = chosen()
    if not rows:
        options.error(f"no row is named like {', '.join(arguments.only)}; --list names them")
    if arguments.list:
        for row in rows:
            print(f"{row.name:<28} {row.fault}: {row.demand.state()} within {row.demand.within():.2f} s")
        return 0
    lacking = {row.name: what for row in rows if (what := missing(row))}
    began, outcomes = time.monotonic(), []

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        reached = "" if outcome.reached is None else f"{outcome.reached:.3f} s"
        verdict = "; ".join(outcome.problems) or "ok"
        print(f"[{time.monotonic() - began:6.0f} s] {outcome.name:<28} {reached:>8}  {verdict}", file=sys.stderr)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the campaign, its processes end with it
    repeats, stop = 0, Event()

    def once() -> bool:
        run_once([row for row in chosen() if row.name not in lacking], QUICK, tell, stop.is_set)
        return not stop.is_set()

    with ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            for done in as_completed([pool.submit(once) for _ in range(arguments.repeats)]):
                repeats += done.result()
        except BaseException as error:
            stop.set()
            for child in psutil.Process().children(recursive=True):  # what the threads wait for
                child.kill()
            if not isinstance(error, KeyboardInterrupt):
                raise
            print(f"interrupted after {repeats} repeats", file=sys.stderr)
    found = results(rows, outcomes, lacking)
    report = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "repeats": repeats,
        "jobs": arguments.jobs,
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
        "rows": [result.as_json() for result in found],
    }
    _leave(report)
    if arguments.write is not None and repeats:
        arguments.write.write_text(page(report, found))
    if arguments.json:
        print(json.dumps(report))
    return _say(found)


def _leave(report: dict[str, object]) -> None:
    path = Path(__file__).parents[2] / "build" / "faults.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


def _say(found: list[Result]) -> int:
    failed = [result for result in found if result.passes < result.runs]
    for result in failed:
        print(f"{result.row.name}: {result.passes} of {result.runs}; {result.problems[0]}", file=sys.stderr)
    print(f"{len(found) - len(failed)} of {len(found)} rows passed every time", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
