"""The comparison with peers: its arithmetic on made-up logs, its processes, and one short run of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers import environments
from benchmarks.peers.contestants import CONTESTANTS
from benchmarks.peers.drivers import fake
from benchmarks.peers.environments import Environment, NotMade, make
from benchmarks.peers.launch import Failed, launch
from benchmarks.peers.meeting import medians, turns
from benchmarks.peers.metrics import Log, figures, read, timing, tracking, window
from benchmarks.peers.policy_file import write
from benchmarks.peers.scenarios import SCENARIOS
from benchmarks.peers.table import ROWS, behind, tables

ROOT = Path(__file__).parents[2]
PERIOD_NS = 20_000_000
PERIOD_S = PERIOD_NS * 1e-9
TICKS = 600


def log(stamps=None, lag_s=0.0, borders=()) -> Log:
    """Commands of the true motion as it was ``lag_s`` ago, and inferences that end just before ``borders``."""
    stamps = np.arange(TICKS) * PERIOD_NS if stamps is None else np.asarray(stamps)
    commands = np.hstack([fake.truth(stamps * 1e-9 - lag_s), np.zeros((len(stamps), 1))])
    ends = np.array([stamps[border] - 1000 for border in borders], dtype=np.int64)
    return Log(stamps, commands, np.stack([ends - 1, ends], axis=1) if len(ends) else np.zeros((0, 2), np.int64), 0)


def judged(found: Log) -> dict:
    return timing(found, PERIOD_S)


def test_a_perfect_log_has_no_fault():
    found = figures(log(borders=(100, 200)), PERIOD_S)
    assert found["behind_ms"] == found["drift_ms"] == pytest.approx(0)
    assert found["off_period_ms"]["p99_9"] == pytest.approx(0)
    assert found["starved_ticks"] == 0
    assert found["stall_ms"] == found["seam_mrad"] == found["opinion_share"] == {"p50": 0, "max": 0}
    assert abs(found["lag_ms"]) < 0.5
    assert found["clock_late_ms"] == pytest.approx(0)
    assert found["chunks"] == 2


@given(st.integers(-500_000, 2_000_000))
def test_a_wrong_period_is_drift_and_nothing_is_starved(extra_ns):
    found = judged(log(np.arange(TICKS) * (PERIOD_NS + extra_ns)))
    assert found["drift_ms"] == pytest.approx((TICKS - 1) * extra_ns / 1e6, abs=1e-6)
    assert found["behind_ms"] == pytest.approx((TICKS - 5) * extra_ns / 1e6, abs=1e-6)
    assert found["off_period_ms"]["p50"] == pytest.approx(abs(extra_ns) / 1e6, abs=1e-6)
    assert found["starved_ticks"] == 0


@settings(max_examples=10, deadline=None)
@given(st.floats(0.0, 1.0))
def test_the_lag_is_found_whatever_it_is(lag_s):
    found = tracking(log(lag_s=lag_s), PERIOD_S)
    assert found["lag_ms"] == pytest.approx(lag_s * 1e3, abs=0.5)
    assert found["clock_late_ms"] == pytest.approx(lag_s * 1e3, abs=1e-6)
    assert found["rms_after_lag_mrad"] < 10
    assert found["rms_mrad"] >= found["rms_after_lag_mrad"]


@given(st.integers(1, 20), st.integers(10, TICKS - 30))
def test_a_pause_at_a_chunk_is_its_stall_and_starves_as_many_ticks(ticks, border):
    stamps = np.arange(TICKS) * PERIOD_NS
    stamps[border:] += ticks * PERIOD_NS
    found = judged(log(stamps, borders=(border,)))
    assert found["stall_ms"]["max"] == pytest.approx(ticks * 20)
    assert found["starved_ticks"] == ticks
    assert found["behind_ms"] == pytest.approx(ticks * 20)
    assert found["drift_ms"] == pytest.approx(0, abs=1e-6)


def test_a_pause_elsewhere_is_no_stall_of_a_chunk():
    stamps = np.arange(TICKS) * PERIOD_NS
    stamps[300:] += 5 * PERIOD_NS
    assert judged(log(stamps, borders=(100,)))["stall_ms"]["max"] == 0


@given(st.floats(0.01, 1.0), st.integers(10, TICKS - 30))
def test_a_jump_at_a_chunk_is_its_seam(jump, border):
    made = log(borders=(border,))
    made.commands[border:, 2] += jump
    seam_mrad = judged(made)["seam_mrad"]["max"]
    own_mrad = fake.SWING * (2 * np.pi * fake.HERTZ[1] * PERIOD_S) ** 2 * 1e3
    assert jump * 1e3 - 2 * own_mrad <= seam_mrad <= jump * 1e3 + own_mrad


def test_a_command_sent_twice_is_a_starved_tick():
    made = log()
    made.commands[50] = made.commands[49]
    made.commands[51] = made.commands[49]
    assert judged(made)["starved_ticks"] == 2


@pytest.mark.parametrize(("ticks", "share"), [(1, 1.0), (5, 0.2), (10, 0.1)])
def test_a_fade_takes_its_share_of_a_disagreement_in_a_tick(ticks, share):
    made = log(borders=(200,))
    made.commands[:, 5] = 0.05 * np.clip((np.arange(TICKS) - 199) / ticks, 0, 1)
    assert judged(made)["opinion_share"]["max"] == pytest.approx(share)


def test_only_the_time_after_the_first_planned_command_counts():
    made = log(borders=(50, 300))
    kept = window(made, 5.0)
    assert kept.stamps[0] == made.stamps[50 + 50]
    assert len(kept.stamps) == 250
    assert len(kept.calls) == 1
    with pytest.raises(ValueError, match="too few"):
        window(made, 0.05)


def test_rows_at_the_control_rate_are_those_of_the_chunk_between_them_and_at_its_end():
    chunk = np.random.default_rng(0).standard_normal((fake.ROWS, 6)).astype(np.float32)
    assert np.array_equal(fake.resampled(chunk, fake.STEP_S), chunk)
    rows = fake.resampled(chunk, 0.01)
    assert rows.shape == (80, 6)
    assert np.allclose(rows[::5], chunk)
    assert np.allclose(rows[2], chunk[0] + 0.4 * (chunk[1] - chunk[0]), atol=1e-6)
    assert (rows[76:] == chunk[-1]).all()


def test_the_policy_file_knows_the_true_motion_and_is_one_that_we_run(tmp_path):
    from vla_runtime.plugins.planners.golden import check_golden
    from vla_runtime.plugins.policies.onnx import OnnxPolicy

    write(tmp_path / "clock.onnx")
    check_golden(OnnxPolicy(tmp_path / "clock.onnx"))
    policy = fake.Policy(str(tmp_path / "clock.onnx"), 0.0, 0.0, 0, str(tmp_path / "calls"))
    for seconds in (0.0, 3.7, 25.0):
        chunk = policy.infer(seconds)
        assert chunk[:, :5] == pytest.approx(fake.truth(seconds + np.arange(16) * 0.05), abs=1e-4)
        assert np.ptp(chunk[:, 5]) == 0
        assert abs(chunk[0, 5]) <= fake.OPINION
    assert policy.infer(1.0)[0, 5] != policy.infer(1.1)[0, 5]


def test_what_a_driver_leaves_is_read_back(tmp_path):
    arm = fake.Arm(1.0, epoch_ns=5)
    for value in range(3):
        arm.command([value] * 6)
    arm.save(str(tmp_path / "commands.npz"))
    wait = fake.Slowness(0.0, 0.0, 0, str(tmp_path / "calls"))
    wait.until_over(time.monotonic_ns())
    found = read(tmp_path / "commands.npz", tmp_path / "calls")
    assert found.commands[:, 0].tolist() == [0, 1, 2]
    assert (np.diff(found.stamps) >= 0).all()
    assert found.epoch_ns == 5
    assert found.calls.shape == (1, 2)
    assert not len(read(tmp_path / "commands.npz", tmp_path / "none").calls)


def test_every_other_repeat_runs_backwards():
    assert "".join(name for _, name in turns("abc", 3)) == "abccbaabc"


def test_medians_reach_into_figures_and_keep_words():
    runs = [{"x": value, "deep": {"y": 10 * value}, "who": "a"} for value in (1, 5, 2)]
    assert medians(runs) == {"x": 2.0, "deep": {"y": 20.0}, "who": "a"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ours": 1.0, "b": 3.0, "c": 2.0}, "ahead of c by 1.00"),
        ({"ours": -4.0, "ours-blend": 9.0, "b": 3.0}, "behind b by 1.00"),
        ({"ours": 2.0, "b": 2.01, "ideal": 0.0}, "level with b"),
        ({"b": 3.0}, ""),
    ],
)
def test_the_table_says_where_ours_is_behind(values, words):
    assert behind(values) == words


def test_a_contestant_that_hangs_is_killed_and_reported():
    with pytest.raises(Failed, match="killed after"):
        launch([sys.executable, "-c", "import time; time.sleep(600)"], os.environ, 0.5)


def test_a_contestant_that_fails_is_reported_with_its_last_words():
    with pytest.raises(Failed, match="exit code 1: ValueError: no such arm"):
        launch([sys.executable, "-c", "raise ValueError('no such arm')"], os.environ, 60)


def _alive(mark: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in entry.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def _soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_an_interrupted_comparison_leaves_no_process_behind(tmp_path):
    mark = f"peer-{tmp_path}"
    inner = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])"
    )
    outer = (
        "import os, sys; from benchmarks.peers.launch import launch; "
        f"launch([sys.executable, '-c', {inner!r}, {mark!r}], os.environ, 600)"
    )
    process = subprocess.Popen([sys.executable, "-c", outer], cwd=ROOT, stderr=subprocess.PIPE)
    try:
        assert _soon(lambda: _alive(mark))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert _soon(lambda: not _alive(mark))
    finally:
        process.kill()
        process.wait()


def test_an_environment_that_cannot_be_made_says_why_and_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "HOME", tmp_path)
    broken = Environment("broken", (("--no-index", "there-is-no-such-package==1"),))
    with pytest.raises(NotMade, match="there-is-no-such-package"):
        make(broken)
    assert not broken.folder.exists()
    assert (tmp_path / "broken" / "pip.log").exists()


def test_every_contestant_has_a_driver_and_says_its_settings():
    for contestant in CONTESTANTS.values():
        assert contestant.settings
        driver = ROOT / "benchmarks" / "peers" / "drivers" / f"{contestant.driver or 'cost_ours'}.py"
        assert driver.exists()


@pytest.mark.timeout(240)
def test_a_short_run_of_ours_beside_the_ideal_leaves_every_figure(tmp_path):
    command = [sys.executable, "-m", "benchmarks.peers", "--here", "--peers", "ideal,ours", "--scenarios", "quick",
               "--seconds", "2", "--repeats", "1", "--json", "--out", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == json.loads((tmp_path / "peers.json").read_text())
    assert set(found["cost"]["ours"]["steps_us"]) == {"cached", "interpolated", "seam"}
    results = found["table"]["quick"]
    assert set(results) == {"ideal", "ours"}
    assert results["ours"]["chunks"] > 0
    assert results["ours"]["pss_mb"] > 0
    for own in results.values():
        assert "error" not in own
        assert all(np.isfinite(figure(own)) for figure in ROWS.values())
    assert str(SCENARIOS["quick"]) in tables(found)
