"""Demonstrations: the same seed is the same file, and a file holds what a policy would see and should answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from vla_runtime.app.collect import CollectOptions, collect, episode_name
from vla_runtime.app.load import load_config
from vla_runtime.app.replay import check_loop
from vla_runtime.app.simulate import open_demonstrator
from vla_runtime.core.errors import ConfigError, ContractMismatch, LogError
from vla_runtime.core.spec import PolicySpec
from vla_runtime.episode.reader import Episode, read_episode

from ..blocked import TRAIN_EXTRA, blocking
from . import live
from .virtual import servo_yaml, sim_yaml

TRAIN = [sys.executable, "-m", "vla_runtime.cli.train"]
MS = 1_000_000


def quiet(line: str) -> None: ...


@pytest.fixture
def options(tmp_path: Path) -> CollectOptions:
    """Six episodes of the servo's poses, two of each, as one process does them."""
    return CollectOptions(str(servo_yaml(tmp_path)), "pose", tmp_path / "out", 6, workers=1)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_seeds_are_the_same_bytes_in_other_processes_and_other_portions(options: CollectOptions) -> None:
    wholes = []
    for index, workers in enumerate((1, 2)):
        out = options.out.with_name(f"whole{index}")
        command = [*TRAIN, "collect", "--robot", options.robot, "--task", "pose", "--episodes", "6", "--out", str(out),
                   "--disturb", "0.02", "--workers", str(workers)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        wholes.append(files(out))
    for seed, episodes in ((4, 2), (0, 3), (3, 1)):
        collect(replace(options, seed=seed, episodes=episodes, disturb=0.02), quiet)
    assert wholes[0] == wholes[1] == files(options.out)
    assert len(set(wholes[0].values())) == 6


def test_physics_and_rendered_pictures_are_the_same_bytes_in_other_processes_too(tmp_path: Path) -> None:
    robot = sim_yaml(tmp_path)
    for name in ("one", "other"):
        command = [*TRAIN, "collect", "--robot", str(robot), "--task", "reach", "--episodes", "2", "--workers", "2",
                   "--out", str(tmp_path / name), "--disturb", "0.05", "--keep-failures"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert files(tmp_path / "one") == files(tmp_path / "other")
    found = read_episode(tmp_path / "one" / "reach-000001.mcap")
    assert found.cameras == ("front", "wrist")
    assert {frame.pixels().std() > 5 for frame in found.frames("front")} == {True}
    assert check_loop(found).identical


def test_files_are_named_by_task_and_seed_and_take_the_instructions_in_turn(options: CollectOptions) -> None:
    collect(replace(options, seed=7, episodes=4), quiet)
    found = {path.name: read_episode(path).metadata["instruction"] for path in options.out.iterdir()}
    assert found == {
        "pose-000007.mcap": "far", "pose-000008.mcap": "home", "pose-000009.mcap": "near", "pose-000010.mcap": "far",
    }  # fmt: skip
    assert episode_name("pose", 7) == "pose-000007.mcap"


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """A demonstration of the far pose, disturbed."""
    directory = tmp_path_factory.mktemp("collect")
    robot = str(servo_yaml(directory))
    collect(CollectOptions(robot, "pose", directory / "out", 1, seed=1, disturb=0.05, workers=1), quiet)
    return read_episode(directory / "out" / "pose-000001.mcap")


def test_a_demonstration_re_executes(episode: Episode) -> None:
    assert not episode.truncated
    assert episode.dropped == 0
    assert check_loop(episode).identical


def test_it_carries_the_experts_contract(episode: Episode) -> None:
    spec = PolicySpec.from_json(episode.metadata["spec"])
    assert spec.name == "expert-pose"
    assert spec.instruction.texts == ("near", "far", "home")
    assert [entry.name for entry in spec.state] == ["turn.position", "lift.position"]
    assert [camera.name for camera in spec.cameras] == ["front"]
    assert spec.normalisation.state_std == spec.normalisation.action_std == (1.0, 1.0)
    assert (episode.metadata["wall_time"], episode.metadata["instruction"]) == ("", "far")
    assert json.loads(episode.metadata["config"])["policy"]["file"] == ""


def test_each_chunk_is_the_experts_answer_to_the_logged_state_at_the_time_of_the_logged_frame(
    episode: Episode, tmp_path: Path
) -> None:
    requests = {request.seq: request for group in episode.requests_by_tick.values() for request in group}
    chunks = [chunk for group in episode.chunks_by_tick.values() for chunk, refusal in group if not refusal]
    assert len(chunks) == len(requests) > 5
    device = open_demonstrator(load_config(str(servo_yaml(tmp_path))))
    for chunk in chunks:
        request = requests[chunk.request_seq]
        (seq,) = chunk.frames.values()
        assert episode.frame("front", seq).capture_ns == chunk.t0_ns <= request.stamp_ns
        assert chunk.policy_hash == episode.metadata["policy_hash"]
        device.reset(0, "far")
        device._position = request.state.position.copy()
        ahead_s = np.maximum(chunk.t0_ns + np.arange(16) * 50 * MS - request.state.stamp_ns, 0) * 1e-9
        assert chunk.actions == pytest.approx(device.demonstrate(ahead_s).astype("f4"), abs=1e-6)


def test_what_the_device_did_is_disturbed_and_what_was_commanded_is_not(episode: Episode, tmp_path: Path) -> None:
    running = [tick for tick in episode.ticks if tick.mode == "running"]
    assert len(running) > 30
    assert all(tick.command == tick.wanted for tick in running if not tick.interventions)
    assert sum(bool(tick.interventions) for tick in running) < len(running) / 10
    # On its own the servo follows its command with a lag of 20 ms; what it did beside that was done to it.
    states = {state.stamp_ns: state.position for group in episode.states_by_tick.values() for state in group}
    share = 1 - np.exp(-5 / 20)
    strayed = []
    for tick in running:
        before, after = states[tick.now_ns], states.get(tick.now_ns + 5 * MS)
        if after is not None:
            strayed.append(after - (before + share * (np.array(tick.command) - before)))
    assert np.abs(strayed).max(axis=0)[0] > 0.001
    ratio = np.abs(strayed).max(axis=0)
    assert ratio[1] < ratio[0]  # the lift's range is a seventh of the turn's


def test_without_torch_it_works_too(tmp_path: Path) -> None:
    argv = ["collect", "--robot", str(servo_yaml(tmp_path)), "--task", "pose", "--episodes", "1",
            "--out", str(tmp_path / "out")]  # fmt: skip
    code = f"{blocking(*TRAIN_EXTRA, 'onnx')}from vla_runtime.cli.train import main\nsys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert list(files(tmp_path / "out")) == ["pose-000000.mcap"]


def hard(tmp_path: Path, **changes: Any) -> CollectOptions:
    """The far pose takes longer than the episode may last."""
    robot = str(servo_yaml(tmp_path, max_steps=100))
    return replace(CollectOptions(robot, "pose", tmp_path / "out", 6, workers=1), **changes)


def test_failures_are_counted_and_removed(tmp_path: Path) -> None:
    report = collect(hard(tmp_path), quiet).as_json()
    assert (report["episodes"], report["successes"], report["kept"]) == (6, 4, 4)
    assert report["instructions"] == {"near": 2, "home": 2}
    assert [(failure["seed"], failure["instruction"]) for failure in report["failures"]] == [(1, "far"), (4, "far")]
    assert set(files(tmp_path / "out")) == {episode_name("pose", seed) for seed in (0, 2, 3, 5)}
    assert report["bytes"] == sum(map(len, files(tmp_path / "out").values()))


def test_failures_are_kept_if_asked_for(tmp_path: Path) -> None:
    report = collect(hard(tmp_path, keep_failures=True), quiet).as_json()
    assert (report["successes"], report["kept"], len(report["failures"])) == (4, 6, 2)
    assert len(files(tmp_path / "out")) == 6


def test_what_is_there_is_refused_before_anything_is_run(options: CollectOptions) -> None:
    collect(replace(options, episodes=2), quiet)
    before = files(options.out)
    with pytest.raises(LogError, match=r"2 of the 6 episodes .*pose-000000.mcap the first.*--overwrite"):
        collect(options, quiet)
    assert files(options.out) == before
    collect(replace(options, seed=2, episodes=1), quiet)
    assert len(files(options.out)) == 3


def test_overwriting_replaces_and_leaves_no_old_success_where_the_new_episode_failed(tmp_path: Path) -> None:
    easy = CollectOptions(str(servo_yaml(tmp_path)), "pose", tmp_path / "out", 3, workers=1)
    collect(easy, quiet)
    before = files(tmp_path / "out")
    assert len(before) == 3
    collect(hard(tmp_path, episodes=3, overwrite=True, replan_interval=2), quiet)
    after = files(tmp_path / "out")
    assert set(after) == set(before) - {"pose-000001.mcap"}
    assert all(after[name] != before[name] for name in after)


def test_the_replan_interval_and_the_chunk_length_are_the_options(options: CollectOptions) -> None:
    few = collect(replace(options, episodes=2), quiet)
    many = collect(replace(options, out=options.out / "many", episodes=2, replan_interval=1, chunk_length=5), quiet)
    assert many.as_json()["chunks"] > 2 * few.as_json()["chunks"]
    found = read_episode(options.out / "many" / "pose-000001.mcap")
    assert {chunk.actions.shape for group in found.chunks_by_tick.values() for chunk, _ in group} == {(5, 2)}
    assert check_loop(found).identical


@pytest.mark.parametrize(("change", "message"), [
    ({"task": "poses"}, "--task: there is no task 'poses'; valid: pose; did you mean 'pose'"),
    ({"episodes": 0}, "--episodes: 0 given, expected at least 1"),
    ({"chunk_length": 0}, "--chunk-length: 0 given"),
    ({"workers": -1}, "--workers: -1 given"),
    ({"disturb": -0.1}, "--disturb: -0.1 given, expected 0 to 1 rad"),
    ({"disturb": float("nan")}, "--disturb: nan given"),
    ({"max_seconds": 0.0}, "--max-seconds: 0 given"),
    ({"seed": -3}, "--seed: -3 given"),
])  # fmt: skip
def test_what_cannot_be_collected_is_refused(options: CollectOptions, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        collect(replace(options, **change), quiet)
    assert message in str(refused.value)
    assert not options.out.exists()


def test_a_chunk_shorter_than_the_replan_interval_is_refused(options: CollectOptions) -> None:
    with pytest.raises(ContractMismatch, match="replan_interval"):
        collect(replace(options, chunk_length=3), quiet)


def test_an_interrupt_leaves_whole_episodes_and_no_process(tmp_path: Path) -> None:
    import signal

    out = tmp_path / "a" / "out"
    command = [*TRAIN, "collect", "--robot", servo_yaml(tmp_path), "--task", "pose", "--episodes", 100_000, "--out",
               out, "--workers", 2, "--json"]  # fmt: skip
    with live.started(*command) as process:
        live.wait_for(lambda: len(list(out.glob("*.mcap"))) > 3, "the first episodes", timeout=60)
        family = [relative.pid for relative in psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert live.last_line(output)["exit"] == "interrupted"
    assert live.all_gone(family)
    assert {path.suffix for path in out.iterdir()} == {".mcap"}
    assert not any(read_episode(path).truncated for path in out.iterdir())


def test_the_report_is_for_people_too(options: CollectOptions, tmp_path: Path) -> None:
    said: list[str] = []
    text = collect(replace(hard(tmp_path), out=tmp_path / "hard"), said.append).as_text()
    assert "4 episodes of pose on servo" in text
    assert "4 of 6 succeeded" in text
    assert "failed: seed 1, 'far': the episode is over" in text
    assert said[-1].startswith("6 of 6 episodes, 4 successful")


@pytest.mark.parametrize("argv", [["--help"], ["collect", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    probe = (
        "import sys\nfrom vla_runtime.cli.train import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'zmq', 'onnxruntime', 'cv2', 'torch', 'yaml', 'msgspec', 'mcap'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout
    assert "collect" in done.stdout
