"""The judge: what must never reach an actuator is seen, and a state that is reached late or not at all fails."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .campaign import Outcome, missing
from .demands import Row, RunsOn, Trial
from .evidence import Evidence
from .page import machine, page
from .results import results
from .setting import QUICK, Setting
from .shim import Shim, compiler
from .table import all_rows
from .truth import COMMAND, NO_COMMAND, Truth

MS = 1_000_000


def truth(*commands: float, period_ms: int = 10, kind: int = COMMAND) -> Truth:
    values = np.zeros((len(commands), 3))
    values[:, 0] = commands
    ns = np.arange(1, len(commands) + 1) * period_ms * MS
    return Truth(ns.astype(np.int64), np.full(len(commands), kind, dtype=np.int32), values)


def found(seen: Truth, slack_s: float = 0.0) -> list[str]:
    return [what for _, what in seen.faults(-1.0, 1.0, 2.0, slack_s)]


@given(st.lists(st.floats(-0.01, 0.01), min_size=2, max_size=50))
def test_commands_inside_the_limits_are_no_crime(moves: list[float]) -> None:
    assert found(truth(*np.cumsum(moves))) == []


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 4))
def test_a_command_that_is_not_finite_is_seen_wherever_it_comes(value: float, place: int) -> None:
    commands = [0.0] * 5
    commands[place] = value
    assert found(truth(*commands))


@given(st.floats(1.0001, 1e9))
def test_a_command_outside_the_position_limits_is_seen(value: float) -> None:
    assert any("limits" in what for what in found(truth(0.0, value, period_ms=10**6)))


def test_a_command_that_moves_faster_than_allowed_is_seen() -> None:
    assert any("moved" in what for what in found(truth(0.0, 0.5)))
    assert found(truth(0.0, 0.5), slack_s=0.25) == []


def test_the_time_since_the_command_was_first_given_counts_not_since_it_was_repeated() -> None:
    assert found(truth(0.0, *[0.1] * 20, 0.29)) == ["the command moved by 0.1 in 0.01 s, limit 2.0/s"]


def test_no_command_is_none_that_could_be_wrong() -> None:
    assert found(truth(5.0, 7.0, kind=NO_COMMAND)) == []


def trial(demand: RunsOn) -> Trial:
    row = Row("row", "area", "a fault", lambda run: None, demand, Setting())
    return Trial(row, injected_ns=MS, restored_ns=MS, over_ns=1000 * MS)


def evidence(seen: Truth) -> Evidence:
    return Evidence(QUICK, None, seen, {}, 0, [])


def test_a_standstill_longer_than_allowed_fails_and_one_that_is_shorter_does_not() -> None:
    moving = truth(*np.linspace(0, 1, 100))
    good, bad = trial(RunsOn(0.25)), trial(RunsOn(0.25))
    assert list(good.row.demand.judge(good, evidence(moving))) == []
    paused = Truth(moving.ns, moving.kind, np.where(moving.values < 0.5, moving.values, 0.5))
    assert any("standstill" in problem for problem in bad.row.demand.judge(bad, evidence(paused)))
    assert bad.measured.reached == pytest.approx(0.5, abs=0.02)


def logged(*commands: float) -> SimpleNamespace:
    """An episode with a tick for each command, 10 ms apart, in the shape that the evidence reads."""
    ticks = [SimpleNamespace(now_ns=(i + 1) * 10 * MS, command=(value, 0.0, 0.0)) for i, value in enumerate(commands)]
    start = {0: [SimpleNamespace(position=np.zeros(3))]}
    return SimpleNamespace(ticks=ticks, missing_ticks=list, truncated=False, states_by_tick=start)


def crimes(seen: Truth, episode: SimpleNamespace) -> list[str]:
    return [what for _, what in Evidence(QUICK, episode, seen, {}, 0, []).crimes()]  # type: ignore[arg-type]


def test_a_host_may_brake_and_nobody_else_may_command_the_device() -> None:
    sent = [0.0001, 0.0006, 0.0016]
    assert crimes(truth(*sent), logged(*sent)) == []
    assert crimes(truth(*sent, 0.002, 0.0021), logged(*sent)) == []
    assert any("no tick has sent" in what for what in crimes(truth(*sent[:2], 0.0011, sent[2]), logged(*sent)))
    assert any(
        "no tick has sent" in what for what in crimes(truth(*sent, *np.linspace(0.002, 0.05, 100)), logged(*sent))
    )


def test_a_logged_command_outside_a_limit_is_seen() -> None:
    assert any("velocity" in what for what in crimes(truth(0.0, 0.5), logged(0.0, 0.5)))
    assert any("acceleration" in what for what in crimes(truth(0.0, 0.015), logged(0.0, 0.015)))


def test_the_page_counts_passes_and_says_what_failed_and_what_was_not_run() -> None:
    rows = all_rows(QUICK)[:3]
    outcomes = [Outcome(rows[0].name, (), 0.1), Outcome(rows[0].name, ("too late",), 0.9), Outcome(rows[1].name, ())]
    table = results(rows, outcomes, {rows[2].name: "a moon"})
    text = page({"repeats": 2, "jobs": 1, "seconds": 60, "date": "2026-01-01", "machine": machine()}, table)
    assert "| 1 of 2 | 0.50, worst 0.90 |" in text
    assert "too late" in text
    assert "not run: needs a moon" in text
    assert "2 of 3 trials passed" in text


def test_the_page_claims_that_all_passed_only_if_all_did() -> None:
    rows = all_rows(QUICK)[:1]
    text = page({"repeats": 1, "jobs": 1, "seconds": 1, "date": "2026-01-01", "machine": machine()},
                results(rows, [Outcome(rows[0].name, (), 0.1)], {}))  # fmt: skip
    assert "All 1 trials passed." in text
    assert "What failed" not in text


def test_the_shim_steps_the_wall_clock_alone_and_slows_writes_to_a_log_alone(tmp_path: Path) -> None:
    if compiler() is None:
        shimmed = [row for row in all_rows(QUICK) if row.setting == Setting(apart=False, shim=True)]
        assert {missing(row) for row in shimmed} == {"a C compiler"}
        return
    shim = Shim(tmp_path)
    shim.set(wall_s=3600.0, write_s=0.4)
    probe = (
        "import json, os, sys, time\n"
        "times = [time.time(), time.monotonic()]\n"
        "for name in ('a.mcap', 'a.txt'):\n"
        "    file = os.open(os.path.join(sys.argv[1], name), os.O_WRONLY | os.O_CREAT)\n"
        "    began = time.monotonic()\n"
        "    os.write(file, b'x')\n"
        "    times.append(time.monotonic() - began)\n"
        "print(json.dumps(times))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe, str(tmp_path)], env=os.environ | shim.environment,
                          capture_output=True, text=True, check=True, timeout=60)  # fmt: skip
    wall, monotonic, log, other = json.loads(done.stdout)
    shim.close()
    assert wall - time.time() > 3000
    assert monotonic <= time.monotonic()
    assert log >= 0.4
    assert other < 0.4
