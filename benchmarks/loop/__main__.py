"""The whole control loop against a bare C loop: how late do ticks begin, and how many deadlines are missed?

Ours is the loop of vla-run: seven joints at 1 kHz, the robot behind a real socket, plans at 10 Hz from a real planner
process, the log written by a real recorder process. The other is clock_nanosleep(TIMER_ABSTIME) in C and nothing else.
They take turns in blocks of --block seconds, forwards and backwards, so that the machine's noise hits both, with the
same SCHED_FIFO priority and core where this user may have them. Ours sleeps as it is shipped: it wakes up --spin-us
early and spins the rest; --spin-us 0 makes it sleep as the C loop does. Writes build/bench/loop.json and loop.svg.

examples:
  python -m benchmarks.loop                      about 4 minutes
  python -m benchmarks.loop --samples 200000     narrower intervals, 20 minutes
  python -m benchmarks.loop --no-fifo            as an ordinary user has it
  python -m benchmarks.loop --quick              a few seconds: shows that it runs, not how well
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.loop.bare import BareLoop
from benchmarks.loop.busy import busy
from benchmarks.loop.cores import divide_cores
from benchmarks.loop.figures import figures
from benchmarks.loop.ours import OurLoop
from benchmarks.loop.plot import plot
from benchmarks.loop.rounds import Arms, interleaved
from benchmarks.result import DIRECTORY, leave
from vla_runtime.app.config import RealtimeConfig

SHIPPED = RealtimeConfig()
_WARM_UP_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loop", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=40_000, help="wake-ups of each arm (%(default)s)")
    parser.add_argument("--block", type=float, default=2.0, help="seconds of each block (%(default)s)")
    parser.add_argument("--no-fifo", action="store_true", help="no real-time priority, though it may be had")
    parser.add_argument("--spin-us", type=int, default=SHIPPED.spin_us, help="of our loop, 0 to 200 (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="two short blocks of each arm")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="folder of the results (build/bench)")
    parser.add_argument("--json", action="store_true", help="the figures on the last line of stdout")
    arguments = parser.parse_args()
    samples, block_s = (400, 0.2) if arguments.quick else (arguments.samples, arguments.block)
    cores, priority = divide_cores(), 0 if arguments.no_fifo else SHIPPED.priority
    cores.stand_aside()
    if not cores.loops:
        print("one core: both arms share it with everything else", file=sys.stderr)
    with (
        tempfile.TemporaryDirectory() as folder,
        OurLoop(Path(folder), cores, priority, arguments.spin_us) as ours,
    ):
        if not ours.granted.priority:
            print("without SCHED_FIFO: both arms have ordinary priority", file=sys.stderr)
        deadlines = max(1, round(block_s * 1e9 / ours.period_ns))
        rounds = max(2, -(-samples // deadlines))
        warm_up = min(deadlines, round(_WARM_UP_S * 1e9 / ours.period_ns))
        bare = BareLoop(Path(folder), ours.granted)
        arms: Arms = {
            "c": lambda: bare.block(ours.period_ns, deadlines, warm_up),
            "ours": lambda: ours.block(deadlines, warm_up, logged=True),
            "ours_unlogged": lambda: ours.block(deadlines, warm_up, logged=False),
        }
        quiet = interleaved(arms, rounds, "nothing else runs")
        with busy(ours.policy_file):
            loaded = interleaved({name: arms[name] for name in ("c", "ours")}, rounds, "a policy keeps a core busy")
        found = {
            "realtime": ours.granted.as_json(),
            "kernel": platform.release(),
            "period_ns": ours.period_ns,
            "block_s": block_s,
            "chunks": ours.chunks,
            "log_dropped": ours.dropped,
            "quiet": figures(quiet, ours.period_ns),
            "policy": figures(loaded, ours.period_ns),
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "loop.svg").write_text(plot({"no other load": quiet, "a policy saturates a core": loaded}))
    leave("loop", found, arguments.json, arguments.out)


if __name__ == "__main__":
    main()
