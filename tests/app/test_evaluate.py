"""Evaluations: every number as docs/evaluation.md defines it, and none that depends on who computed it or when."""

from __future__ import annotations

import doctest
import json
import math
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_runtime.app.evaluate import FIRST_SEED, EvaluateOptions, evaluate
from vla_runtime.app.evaluate import wilson as wilson_module
from vla_runtime.app.evaluate.jobs import jobs_of
from vla_runtime.app.evaluate.result import EpisodeResult, boundary_jerk, motion, result_of
from vla_runtime.app.evaluate.summary import summary
from vla_runtime.app.evaluate.trace import Trace
from vla_runtime.app.evaluate.wilson import wilson
from vla_runtime.app.simulate import Latency, Scenario, expert_for, simulate
from vla_runtime.cli.eval import main
from vla_runtime.core.errors import ConfigError, ContractMismatch
from vla_runtime.core.types import PlannerStatus, Tick
from vla_runtime.episode.reader import read_episode

from . import live
from .virtual import MS, TEXTS, Cart, Watch, cart_config, servo_yaml

EVAL = [sys.executable, "-m", "vla_runtime.cli.eval"]
TRACKER = EvaluateOptions("tracker", "track", episodes=6, latencies_ms=(0.0, 50.0), workers=1)


def quiet(line: str) -> None: ...


# The success rate's interval


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion, Stat. Med. 17 (1998), table I, method 3
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
])  # fmt: skip
def test_the_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert [round(end, 4) for end in found] == [low, high]


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_mirrors_it_and_solves_wilsons_equation(drawn: tuple[int, int]) -> None:
    successes, trials = drawn
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson(trials - successes, trials)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)
    for end in (low, high):  # where the rate is exactly z standard errors away
        if 0 < end < 1:
            assert abs(successes / trials - end) == pytest.approx(
                1.959963984540054 * math.sqrt(end * (1 - end) / trials)
            )


def test_without_trials_there_is_no_interval() -> None:
    assert wilson(0, 0) == (None, None)


def test_the_example_in_its_docstring_holds() -> None:
    results = doctest.testmod(wilson_module)
    assert (results.attempted, results.failed) == (1, 0)


# Motion


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(4, 50))
def test_the_jerk_of_a_cubic_is_six_times_its_factor_and_the_acceleration_of_a_parabola_twice(a, b, count) -> None:
    period_s = 0.01
    times = np.arange(count) * period_s
    cubic = np.stack([a * times**3, a * times**3], axis=1)
    assert motion(cubic, period_s)[0] == pytest.approx(abs(6 * a), abs=1e-6)
    assert motion((b * times**2)[:, None], period_s)[1] == pytest.approx(abs(2 * b), abs=1e-6)


def test_motion_is_over_ticks_and_joints() -> None:
    still_and_moving = np.stack([np.zeros(100), np.arange(100.0) ** 3], axis=1)
    jerk, acceleration = motion(still_and_moving, 1.0)
    assert jerk == pytest.approx(6 / math.sqrt(2))
    changes = [abs(6.0 * k) for k in range(1, 99)]  # the second difference of k³ is 6 k
    assert acceleration == pytest.approx(np.quantile([0.0] * 98 + changes, 0.95))


@pytest.mark.parametrize(("count", "jerk", "acceleration"), [(0, None, None), (2, None, None), (3, None, 0.0)])
def test_too_few_commands_have_no_motion(count: int, jerk: float | None, acceleration: float | None) -> None:
    assert motion(np.zeros((count, 2)), 0.01) == (jerk, acceleration)


# What is kept of an episode


def watched(scenario: Scenario, **changes: Any) -> tuple[Any, Trace, Watch, Any]:
    config, device = cart_config(**changes), Cart(success_at_s=1.2)
    trace, watch = Trace(), Watch()
    outcome = simulate(config, device, expert_for(config, "go", TEXTS, 8), scenario, watch=[trace, watch])
    return outcome, trace, watch, config


@pytest.mark.parametrize("latency_ms", [0, 30, 120])
def test_a_hand_over_is_how_far_the_new_chunk_takes_the_plan_from_where_it_led(latency_ms: int) -> None:
    _, trace, watch, _ = watched(Scenario(1, "go left", latency=Latency(latency_ms * MS)))
    expected, at = [], []
    for before, last, tick in zip(watch.ticks, watch.ticks[1:], watch.ticks[2:], strict=False):
        following = tick.mode in ("aligning", "running") and None not in (before.wanted, last.wanted, tick.wanted)
        if tick.chunk_seq != last.chunk_seq and following:
            w2, w1, w = (np.array(one.wanted) for one in (before, last, tick))
            expected.append(np.abs(w - (w1 + (w1 - w2))))
            at.append(tick.command)
    assert len(expected) > 5
    assert np.array(trace.handovers) == pytest.approx(np.array(expected), abs=1e-12)
    assert [trace.commands[index] for index in trace.takeovers] == at
    assert max(map(np.max, trace.handovers)) > 0.005


def seen(trace: Trace, chunk_seq: int, wanted: Sequence[float] | None, mode: str = "running") -> None:
    values = None if wanted is None else tuple(map(float, wanted))
    trace.tick(Tick(0, 0, mode, "", "", 0, PlannerStatus(True), -1, chunk_seq, values, values or (0.0, 0.0), (), 0, 0))


steps = st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=25)


@given(st.floats(-1, 1), st.floats(-1, 1), st.lists(st.integers(0, 3), min_size=3, max_size=25))
def test_chunks_that_go_on_as_the_plan_went_hand_over_without_a_jump(start, slope, seqs) -> None:
    trace = Trace()
    for tick, seq in enumerate(seqs):
        seen(trace, seq, (start + slope * tick, 2 * start))
    changes = [tick for tick in range(1, len(seqs)) if seqs[tick] != seqs[tick - 1]]
    assert trace.takeovers == changes
    known = sum(tick > 1 for tick in changes)
    assert np.array(trace.handovers).reshape(-1, 2) == pytest.approx(np.zeros((known, 2)), abs=1e-12)


@given(steps)
def test_a_step_at_a_hand_over_is_its_jump_whoever_executes(sequence) -> None:
    trace = Trace()
    for seq, x, y in sequence:
        seen(trace, seq, (x, y))
    wanted = np.array([row[1:] for row in sequence])
    changes = [tick for tick in range(2, len(sequence)) if sequence[tick][0] != sequence[tick - 1][0]]
    bends = np.abs(np.diff(wanted, 2, axis=0))
    assert np.array(trace.handovers).reshape(-1, 2) == pytest.approx(
        np.array([bends[tick - 2] for tick in changes]).reshape(-1, 2), abs=1e-12
    )


@pytest.mark.parametrize("gap", [(0, None, "holding"), (-1, None, "holding"), (1, (9, 9), "stopping")])
def test_what_was_not_followed_is_no_hand_over(gap) -> None:
    trace = Trace()
    for tick in range(3):
        seen(trace, 0, (tick, 0))
    seen(trace, *gap)
    if gap[2] != "stopping":
        seen(trace, 1, (5, 0))
        seen(trace, 1, (6, 0))
    assert trace.handovers == []
    assert trace.takeovers == ([4] if gap[0] == 0 else [])  # only what a chunk takes over from one is


def test_the_jerk_at_hand_overs_is_that_of_four_ticks_each() -> None:
    commands = np.random.default_rng(0).normal(size=(40, 3))
    jerk = np.array([commands[k] - 3 * commands[k - 1] + 3 * commands[k - 2] - commands[k - 3] for k in range(3, 40)])
    for takeovers, ticks in (([10], range(10, 14)), ([10, 12], range(10, 16)), ([1, 38], [3, 4, 38, 39])):
        rows = [tick - 3 for tick in ticks]
        expected = math.sqrt(np.mean((jerk[rows] / 0.01**3) ** 2))
        assert boundary_jerk(commands, takeovers, 0.01) == pytest.approx(expected)
    assert boundary_jerk(commands, [], 0.01) is None
    assert boundary_jerk(commands[:3], [1], 0.01) is None


@given(st.integers(0, 30))
def test_without_a_seam_the_jerk_at_hand_overs_is_that_of_the_path(takeover: int) -> None:
    cubic = (np.arange(40) * 0.01)[:, None] ** 3
    assert boundary_jerk(cubic, [takeover], 0.01) == pytest.approx(motion(cubic, 0.01)[0], rel=1e-6)


def test_a_takeover_after_the_old_chunk_has_run_out_is_no_hand_over() -> None:
    late = {"policy": {"replan_interval": 8, "answer_timeout_ms": 5000}, "control": {"hold_timeout_ms": 5000}}
    outcome, trace, watch, _ = watched(Scenario(1, "go left", latency=Latency(300 * MS)), **late)
    assert len(watch.chunks) > 1
    assert outcome.metrics.starved_ticks > 10
    assert trace.handovers == []


def test_the_commands_are_those_before_the_stop() -> None:
    _, trace, watch, _ = watched(Scenario(1, "go left"))
    modes = [tick.mode for tick in watch.ticks if tick.command is not None]
    assert "stopping" in modes
    assert len(trace.commands) == len([mode for mode in modes if mode != "stopping"])
    assert trace.commands == [tick.command for tick in watch.ticks if tick.command][: len(trace.commands)]


def test_an_episodes_result_says_how_and_when_it_ended() -> None:
    outcome, trace, watch, config = watched(Scenario(1, "go left", latency=Latency(20 * MS)))
    units = [joint.unit for joint in config.joints]
    result = result_of(Scenario(1, "go left", latency=Latency(20 * MS)), outcome, trace, units, 0.01, None)
    assert (result.success, result.end, result.cause, result.latency_ms) == (True, "success", "success", 20.0)
    first = next(state for state in watch.seen if state.task is not None and state.task.success)
    assert result.success_s == (first.stamp_ns - watch.ticks[0].now_ns) / 1e9
    assert result.seconds == (watch.ticks[-1].now_ns - watch.ticks[0].now_ns) / 1e9
    assert result.ticks == len(watch.ticks)
    assert set(result.jerk) == set(result.acceleration) == set(result.handovers) == {"rad", "m"}
    assert result.handovers["m"] == [float(jump[1]) for jump in trace.handovers]


@pytest.mark.parametrize(("scenario", "options", "end"), [
    (Scenario(0, "go left", max_seconds=0.3), {}, "timeout"),
    (Scenario(0, "go left"), {"joints": "tight"}, "refused"),
    (Scenario(0, "go left", latency=Latency(900 * MS)), {}, "fault"),
])  # fmt: skip
def test_other_ends_are_told_apart(scenario: Scenario, options: dict[str, Any], end: str) -> None:
    if options:
        joints = [
            {"name": name, "unit": unit, "position": [-1, 1], "velocity": 9, "align_tolerance": 1e-3}
            for name, unit in (("turn", "rad"), ("lift", "m"))
        ]
        options = {"joints": joints}
    config, trace = cart_config(**options), Trace()
    device = Cart(success_at_s=1.2)
    if end == "refused":
        device.demonstrate = lambda ahead_s: np.full((len(ahead_s), 2), 0.5)  # type: ignore[method-assign]
    outcome = simulate(config, device, expert_for(config, "go", TEXTS, 8), scenario, watch=[trace])
    result = result_of(scenario, outcome, trace, ["rad", "m"], 0.01, None)
    assert (result.end, result.success, result.success_s) == (end, False, None)


def test_a_task_that_ends_without_success_is_a_failure(tmp_path: Path) -> None:
    report = evaluate(
        EvaluateOptions(str(servo_yaml(tmp_path, max_steps=100)), "pose", 3, expert=True, workers=1), quiet
    )
    assert [(result.instruction, result.end) for result in report.results] == [
        ("near", "success"), ("far", "failure"), ("home", "success"),
    ]  # fmt: skip


# Many episodes


def result(seed: int, **changes: Any) -> EpisodeResult:
    made = EpisodeResult(
        latency_ms=0.0, seed=seed, instruction="a", told="a", success=True, end="success", cause="success", seconds=2.0,
        success_s=1.0, ticks=200, starved_ticks=3, chunks_used=5, refusals={"past": 1}, interventions={"step": 2},
        jerk={"rad": 1.0}, boundary_jerk={"rad": 5.0}, acceleration={"rad": 4.0}, handovers={"rad": [0.1, 0.2]},
        log=None,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_a_latencys_numbers_are_those_of_its_episodes_together() -> None:
    results = [
        result(3, jerk={"rad": 9.0}, success_s=2.0, handovers={"rad": [0.3]}),
        result(1, jerk={"rad": 2.0}),
        result(2, instruction="b", success=False, end="failure", success_s=None, jerk={"rad": None}, interventions={}),
        result(4, instruction="b", success_s=4.0, jerk={"rad": 3.0}, refusals={"past": 2, "shape": 1}),
    ]
    found = summary(results)
    assert (found["episodes"], found["successes"], found["success"]) == (4, 3, 0.75)
    assert (found["success_low"], found["success_high"]) == wilson(3, 4)
    assert found["instructions"]["a"]["success"] == 1
    assert (found["instructions"]["b"]["successes"], found["instructions"]["b"]["episodes"]) == (1, 2)
    assert found["ends"] == {"success": 3, "failure": 1, "timeout": 0, "refused": 0, "fault": 0}
    assert found["time_to_success_s"] == {"p50": 2.0, "p90": pytest.approx(3.6)}
    assert found["jerk"] == {"rad": 3.0}
    assert found["boundary_jerk"] == {"rad": 5.0}
    assert found["handovers"] == 7
    assert found["handover"]["rad"] == {
        "mean": pytest.approx(1.2 / 7), "p50": 0.2, "p95": pytest.approx(0.27), "max": 0.3,
    }  # fmt: skip
    assert (found["starved_ticks"], found["ticks"], found["seconds"]) == (12, 800, 8.0)
    assert found["interventions"] == {"step": 6}
    assert found["refusals"] == {"past": 5, "shape": 1}
    assert [episode["seed"] for episode in found["results"]] == [1, 2, 3, 4]
    assert found["results"][0]["handover_max"] == {"rad": 0.2}


def test_what_no_episode_measured_is_null() -> None:
    failed = result(0, success=False, end="fault", success_s=None, jerk={"rad": None}, handovers={"rad": []})
    found = summary([failed])
    assert found["time_to_success_s"] == {"p50": None, "p90": None}
    assert found["jerk"] == {"rad": None}
    assert found["handover"] == {"rad": {"mean": None, "p50": None, "p95": None, "max": None}}


@given(st.integers(2, 9), st.integers(1, 200), st.integers(0, 2**20))
def test_instructions_are_taken_in_turn_and_ablated_ones_are_always_others_of_the_task(kinds, episodes, seed) -> None:
    texts = [f"text {index}" for index in range(kinds)]
    options = EvaluateOptions("r", "t", episodes, (0.0, 30.0), ablate="instruction", seed=seed)
    jobs = jobs_of(options, texts)
    plain = jobs_of(replace(options, ablate=None), texts)
    assert len(jobs) == len(plain) == 2 * episodes
    for index, (job, normal) in enumerate(zip(jobs, plain, strict=True)):
        scenario = job.scenario
        assert scenario.seed == seed + index % episodes
        assert scenario.instruction == texts[index % episodes % kinds]
        assert scenario.told in texts
        assert scenario.told != scenario.instruction
        assert replace(scenario, told="") == normal.scenario
    if episodes >= kinds * (kinds - 1):
        pairs = Counter((job.scenario.instruction, job.scenario.told) for job in jobs)
        assert len(pairs) == kinds * (kinds - 1)


def test_the_first_seed_is_far_from_that_of_demonstrations() -> None:
    assert FIRST_SEED == EvaluateOptions("r", "t").seed == 1_000_000


def test_images_are_taken_away_and_the_rest_of_the_episode_stays() -> None:
    options = EvaluateOptions("r", "t", 4, ablate="images")
    assert all(job.scenario.dark for job in jobs_of(options, TEXTS))
    lit = jobs_of(replace(options, ablate=None), TEXTS)
    assert [replace(job.scenario, dark=False) for job in jobs_of(options, TEXTS)] == [job.scenario for job in lit]


def without_circumstances(report: Any) -> dict[str, Any]:
    return {name: value for name, value in report.as_json().items() if name not in ("workers", "wall_s")}


def test_nothing_depends_on_the_number_of_workers_or_the_order(tmp_path: Path) -> None:
    for options in (
        TRACKER,
        EvaluateOptions(str(servo_yaml(tmp_path)), "pose", 7, (20.0,), expert=True),
    ):
        alone, together = (evaluate(replace(options, workers=workers), quiet) for workers in (1, 2))
        assert (alone.workers, together.workers) == (1, 2)
        assert without_circumstances(alone) == without_circumstances(together)
    turned = evaluate(replace(TRACKER, latencies_ms=(50.0, 0.0), workers=2), quiet)
    assert without_circumstances(turned) == without_circumstances(evaluate(TRACKER, quiet))


def test_an_episode_alone_is_the_same_as_among_others() -> None:
    among = evaluate(TRACKER, quiet)
    alone = evaluate(replace(TRACKER, episodes=1, seed=TRACKER.seed + 4, latencies_ms=(50.0,)), quiet)
    assert list(alone.results) == [
        found for found in among.results if (found.seed, found.latency_ms) == (TRACKER.seed + 4, 50.0)
    ]


def test_logs_are_whole_named_by_what_they_are_and_change_nothing(tmp_path: Path) -> None:
    plain = evaluate(TRACKER, quiet)
    logged = evaluate(replace(TRACKER, log=tmp_path / "log", workers=2), quiet)
    assert [msgspec.structs.replace(found, log=None) for found in logged.results] == list(plain.results)
    names = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert names == sorted(f"track-{ms}ms-{1_000_000 + i}.mcap" for ms in (0, 50) for i in range(6))
    for found in logged.results:
        episode = read_episode(Path(found.log))
        assert not episode.truncated
        assert int(episode.metadata["seed"]) == found.seed
        assert len(episode.ticks) == found.ticks
    with pytest.raises(Exception, match="12 of the 12 episodes to write are already there"):
        evaluate(replace(TRACKER, log=tmp_path / "log"), quiet)


def test_the_replan_interval_is_the_options(tmp_path: Path) -> None:
    often, seldom = (evaluate(replace(TRACKER, latencies_ms=(0.0,), replan_interval=k), quiet) for k in (1, 8))
    assert often.as_json()["replan_interval"] == 1
    used = [found.chunks_used for found in often.results], [found.chunks_used for found in seldom.results]
    assert min(used[0]) > max(used[1])


@pytest.mark.parametrize("pattern", ["jittered", "bursty"])
def test_an_uneven_latency_is_the_episodes_own_on_any_number_of_workers(pattern: str) -> None:
    uneven = replace(TRACKER, episodes=3, latencies_ms=(80.0,), latency_pattern=pattern)
    alone, together = (evaluate(replace(uneven, workers=workers), quiet) for workers in (1, 2))
    assert alone.as_json()["latency_pattern"] == pattern
    assert without_circumstances(alone) == without_circumstances(together)
    even = evaluate(replace(uneven, latency_pattern="constant"), quiet)
    assert {found.latency_ms for found in alone.results} == {found.latency_ms for found in even.results} == {80.0}
    assert [found.jerk for found in alone.results] != [found.jerk for found in even.results]


def test_progress_is_told() -> None:
    said: list[str] = []
    evaluate(TRACKER, said.append)
    assert said[-1].startswith("12 of 12 episodes, 12 successful")


# Refusals


@pytest.mark.parametrize(("change", "message"), [
    ({"robot": "nobody"}, "there is no shipped robot 'nobody'"),
    ({"task": "tack"}, "--task: there is no task 'tack'; valid: track; did you mean 'track'"),
    ({"episodes": 0}, "--episodes: 0 given, expected at least 1"),
    ({"workers": 0}, "--workers: 0 given, expected at least 1"),
    ({"replan_interval": 0}, "--replan-interval: 0 given"),
    ({"max_seconds": math.nan}, "--max-seconds: nan given"),
    ({"latencies_ms": (0.0, -1.0)}, "--latency-ms: -1 given, expected 0 to 60000"),
    ({"latencies_ms": (math.nan,)}, "--latency-ms: nan given"),
    ({"latencies_ms": ()}, "--latency-ms: none given"),
    ({"seed": -1}, "--seed: -1 given"),
    ({"seed": 2**32 - 3}, "--seed: 4294967293 given for 6 episodes"),
    ({"policy": "nothing.onnx"}, "there is no policy file 'nothing.onnx'"),
    ({"ablate": "instruction"}, "--ablate: task 'track' has one instruction"),
    ({"expert": True, "ablate": "images"}, "--expert"),
])  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_with_what_can(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        evaluate(replace(TRACKER, **change), quiet)
    assert message in str(refused.value)


def test_a_replan_interval_longer_than_the_chunk_is_refused() -> None:
    with pytest.raises(ContractMismatch, match="replan_interval"):
        evaluate(replace(TRACKER, replan_interval=99), quiet)


# The command


def test_the_command_prints_a_row_a_latency_and_with_json_everything(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--robot", "tracker", "--task", "track", "--episodes", "3", "--latency-ms", "0,40.5", "--workers", "1"]
    assert main(argv) == 0
    shown = capsys.readouterr()
    assert [line.split()[:3] for line in shown.out.splitlines()[-2:]] == [["0", "ms", "3/3"], ["40.5", "ms", "3/3"]]
    assert "3 of 6 episodes" in shown.err or "6 of 6 episodes" in shown.err
    assert main([*argv, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert [found["latency_ms"] for found in report["latencies"]] == [0, 40.5]
    assert report["policy"] == "toy"


def test_the_table_names_instructions_and_what_was_refused(tmp_path: Path) -> None:
    options = EvaluateOptions(str(servo_yaml(tmp_path, max_steps=100)), "pose", 6, (0.0, 40.0), expert=True, workers=1)
    text = evaluate(options, quiet).as_text()
    assert "expert-pose on servo, task pose" in text
    assert [line.split() for line in text.splitlines() if line.startswith("far")] == [["far", "0/2", "0/2"]]
    assert "2 failure" in text


@pytest.mark.parametrize("latency", ["abc", "", "1,,2"])
def test_latencies_that_are_no_numbers_are_refused(latency: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--robot", "tracker", "--task", "track", "--latency-ms", latency, "--json"]) == 2
    shown = capsys.readouterr()
    assert "expected milliseconds separated by commas" in shown.err
    assert json.loads(shown.out)["exit"] == "refused"


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys\nfrom vla_runtime.cli.eval import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'zmq', 'onnxruntime', 'cv2', 'torch', 'yaml', 'msgspec', 'mcap'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_workers_and_leaves_whole_files_only(tmp_path: Path, number: int) -> None:
    log = tmp_path / "log"
    command = [
        *EVAL, "--robot", servo_yaml(tmp_path), "--task", "pose", "--expert", "--episodes", 100_000, "--workers", 2,
        "--log", log, "--json",
    ]  # fmt: skip
    with live.started(*command) as process:
        live.wait_for(lambda: len(list(log.glob("*.mcap"))) > 3, "the first episodes", timeout=60)
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        assert len(family) == 2
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert live.last_line(output)["exit"] == "interrupted"
    assert live.all_gone(family)
    assert {path.suffix for path in log.iterdir()} == {".mcap"}
    assert not any(read_episode(path).truncated for path in log.iterdir())
