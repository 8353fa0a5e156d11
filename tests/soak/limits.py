"""Millions of ticks against the limits: ``python -m tests.soak.limits --ticks 10000000``.

Three parts, a third of the ticks each, all checked by ``tests/control/envelope.py``, which knows nothing of how
commands are chosen: the safety chain alone against an adversary; the whole loop, with late ticks, stalls, chunks that
are wrong, modes that change; and sequences that hypothesis searches for what comes nearest to a violation.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.control.envelope import excess
from tests.control.test_trajectory import HIGH, LOW, limits, piece, run, wish
from tests.soak.loops import run_loop
from tests.soak.wishes import draw_limits, draw_period_ns, draw_wish
from vla_runtime.control.safety import JointLimits, default_chain

PARTS = ("chain", "loop", "search")
_EPISODE = 4_000


class Tally(Counter[str]):
    """``ticks``, ``joint_ticks``, ``violations`` by limit, and what else is worth a count."""

    def check(self, sent, pose, period_s: float, lim: JointLimits) -> None:
        """Count the limits that ``sent`` [N, D] breaks, and how near each came to being broken."""
        if not len(sent):
            return
        assert lim.acceleration is not None
        assert lim.jerk is not None
        found = excess(sent, pose, period_s, lim.low, lim.high, lim.velocity, lim.acceleration, lim.jerk)
        for name, by in found.items():
            self[f"violations {name}"] += not by <= 0
        self["ticks"] += len(sent)
        self["joint_ticks"] += np.size(sent)


def chain(seed: int, ticks: int) -> Tally:
    """The chain alone: wishes of every kind, broken by braking."""
    tally, episode = Tally(), 0
    while tally["ticks"] < ticks:
        rng = np.random.default_rng((seed, episode))
        episode += 1
        lim, period_ns = draw_limits(rng, int(rng.integers(1, 8))), draw_period_ns(rng)
        safety = default_chain(lim, period_ns)
        pose = rng.uniform(lim.low, lim.high)
        safety.begin(pose)
        sent, command = [], pose
        while len(sent) < _EPISODE:
            wanted, brakes = draw_wish(rng, lim, period_ns * 1e-9), rng.random() < 0.2
            blocked = rng.random() < 0.2
            for tick in range(int(rng.integers(1, 300))):
                measured = pose if blocked else command
                verdict = safety.brake() if brakes else safety.follow(wanted(tick, command), measured)
                command = verdict.command
                sent.append(command)
                tally["interventions"] += len(verdict.interventions)
        tally.check(sent, pose, period_ns * 1e-9, lim)
    return tally


def loop(seed: int, ticks: int) -> Tally:
    """The whole loop in virtual time."""
    tally, episode = Tally(), 0
    while tally["ticks"] < ticks:
        rng = np.random.default_rng((seed, 1, episode))
        episode += 1
        ran = run_loop(rng, _EPISODE)
        tally.check(ran.sent, ran.pose, ran.period_s, ran.limits)
        tally.update({f"mode {mode}": count for mode, count in ran.modes.items()})
        tally["interventions"] += ran.interventions
        tally["ends"] += 1
    return tally


def search(seed: int, ticks: int) -> Tally:
    """Hypothesis draws wishes and limits."""
    tally = Tally()
    scale = st.floats(0.05, 20), st.floats(0.5, 200), st.floats(5, 20_000)
    pieces = st.lists(piece, min_size=1, max_size=12)
    quiet = settings(deadline=None, max_examples=400, database=None, suppress_health_check=list(HealthCheck),
                     phases=[Phase.generate, Phase.target])  # fmt: skip

    @quiet
    @given(pieces, *scale, st.sampled_from([0.001, 0.005, 0.01, 0.02]), st.floats(LOW, HIGH))
    def attempt(wanted, velocity, acceleration, jerk, period_s, pose) -> None:
        lim = limits(velocity, acceleration, jerk)
        sent, _ = run(wish(wanted, period_s), lim, period_s, pose)
        tally.check(sent, np.array([pose]), period_s, lim)

    # Each call searches anew: hypothesis seeds itself from the system when there is no database.
    while tally["ticks"] < ticks:
        attempt()
    return tally


def _work(job: tuple[str, int, int]) -> tuple[str, Tally]:
    part, seed, ticks = job
    return part, {"chain": chain, "loop": loop, "search": search}[part](seed, ticks)


def main(argv: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.soak.limits", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    options.add_argument("--ticks", type=int, default=10_000_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--out", type=Path, help="write the figures to this file as JSON")
    arguments = options.parse_args(argv)
    portions = max(1, min(100, arguments.ticks // 30_000))
    each = -(-arguments.ticks // (len(PARTS) * portions))
    jobs = [(part, arguments.seed * 1_000 + portion, each) for portion in range(portions) for part in PARTS]
    totals, begun = {part: Tally() for part in PARTS}, time.monotonic()
    with get_context("spawn").Pool(arguments.workers) as pool:
        for done, (part, tally) in enumerate(pool.imap_unordered(_work, jobs), start=1):
            totals[part].update(tally)
            ticks = sum(total["ticks"] for total in totals.values())
            print(f"\r{done}/{len(jobs)} portions, {ticks:,} ticks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    everything = sum(totals.values(), Counter[str]())
    violations = {name: count for name, count in everything.items() if name.startswith("violations") and count}
    figures = {
        "ticks": everything["ticks"],
        "joint_ticks": everything["joint_ticks"],
        "violations": violations,
        "seconds": round(time.monotonic() - begun, 1),
        "parts": {part: dict(sorted(tally.items())) for part, tally in totals.items()},
    }
    print(json.dumps(figures, indent=2))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
