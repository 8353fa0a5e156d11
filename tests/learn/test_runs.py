"""A run that is interrupted anywhere and resumed is the run in one piece."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vla_runtime.core.errors import ConfigError, PolicyFileError
from vla_runtime.learn.checkpoint import load_checkpoint
from vla_runtime.learn.runs.directory import RunDirectory
from vla_runtime.learn.runs.run import RunOptions, RunReport, run
from vla_runtime.learn.runs.state import RunState, load_state, save_state
from vla_runtime.learn.runs.training import Diverged

from .walk import RECIPE, Walk, walk


def rows(path: Path) -> list[dict[str, str]]:
    """Without the clock's column."""
    with path.open() as file:
        found = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def events(directory: Path) -> dict[str, list[int]]:
    """Tag to the steps that a reader of TensorBoard's files is shown."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [event.step for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def interrupting(step: int, number: int = signal.SIGINT) -> Callable[[int], None]:
    return lambda now: os.kill(os.getpid(), number) if now == step else None


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Walk, RunReport, Path]:
    training, report = walk(tmp_path / "whole", evaluate_every=5)
    return training, report, tmp_path / "whole"


def same(out: Path, training: Walk, report: RunReport, whole: tuple[Walk, RunReport, Path]) -> None:
    expected, of_whole, directory = whole
    assert torch.equal(training.place, expected.place)
    assert (report.end, report.steps, report.best_step) == ("done", of_whole.steps, of_whole.best_step)
    for name in ("progress.csv", "evaluations.csv"):
        assert rows(out / name) == rows(directory / name)
    for name in ("best.pt", "last.pt"):
        assert (out / name).read_bytes() == (directory / name).read_bytes()
    assert events(out / "tensorboard") == events(directory / "tensorboard")


def test_a_run_leaves_all_that_it_promises(whole: tuple[Walk, RunReport, Path]) -> None:
    training, report, out = whole
    assert {path.name for path in out.iterdir()} == {
        ".lock", "recipe.yaml", "state.pt", "best.pt", "last.pt", "progress.csv", "evaluations.csv", "tensorboard"
    }  # fmt: skip
    assert yaml.safe_load((out / "recipe.yaml").read_text()) == RECIPE
    assert [row["step"] for row in rows(out / "progress.csv")] == [str(step) for step in range(1, 13)]
    assert [row["step"] for row in rows(out / "evaluations.csv")] == ["5", "10", "12"]
    assert float(rows(out / "progress.csv")[-1]["place"]) == training.place[0].item()
    assert events(out / "tensorboard") == {
        "train/loss": list(range(1, 13)),
        "train/place": list(range(1, 13)),
        "evaluation/score": [5, 10, 12],
        "evaluation/twice": [5, 10, 12],
    }
    assert (report.end, report.steps, report.resumed_from) == ("done", 12, 0)


@pytest.mark.parametrize("step", [0, 4, 5, 9, 11])
def test_interrupted_and_resumed_is_uninterrupted(
    step: int, tmp_path: Path, whole: tuple[Walk, RunReport, Path]
) -> None:
    out = tmp_path / "run"
    training, report = walk(out, evaluate_every=5, before_step=interrupting(step))
    assert (report.end, report.steps) == ("interrupted", step + 1)
    training, report = walk(out, evaluate_every=5, resume=True)
    assert report.resumed_from == step + 1
    same(out, training, report, whole)


def test_interrupted_again_and_again_is_uninterrupted(tmp_path: Path, whole: tuple[Walk, RunReport, Path]) -> None:
    for step in range(11):
        _, report = walk(tmp_path / "run", evaluate_every=5, before_step=interrupting(step), resume=step > 0)
        assert report.end == "interrupted"
    training, report = walk(tmp_path / "run", evaluate_every=5, resume=True)
    same(tmp_path / "run", training, report, whole)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("step", "save_seconds", "saved"), [(0, 60.0, 0), (7, 60.0, 5), (7, 0.0, 7), (11, 60.0, 10)])
def test_killed_and_resumed_is_uninterrupted(
    step: int, save_seconds: float, saved: int, tmp_path: Path, whole: tuple[Walk, RunReport, Path]
) -> None:
    out = tmp_path / "run"
    options = {"evaluate_every": 5, "save_seconds": save_seconds}
    process = get_context("fork").Process(
        target=walk, args=(out,), kwargs=options | {"before_step": interrupting(step, signal.SIGKILL)}
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    training, report = walk(out, resume=True, **options)
    assert report.resumed_from == saved
    same(out, training, report, whole)


def test_a_kill_while_the_state_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[Walk, RunReport, Path]
) -> None:
    class Killed(BaseException):
        pass

    def half(content: object, file: Any) -> None:
        file.write(b"half a file")
        raise Killed

    out = tmp_path / "run"
    walk(out, evaluate_every=5, before_step=interrupting(6))
    before = (out / "state.pt").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("vla_runtime.learn.runs.state.torch.save", half)
        with pytest.raises(Killed):
            walk(out, evaluate_every=5, resume=True)
    assert (out / "state.pt").read_bytes() == before
    (out / ".state.pt.1.tmp").write_bytes(b"half a file")  # what SIGKILL at that moment leaves
    training, report = walk(out, evaluate_every=5, resume=True)
    same(out, training, report, whole)
    assert not list(out.glob("*.tmp"))


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    def twice(now: int) -> None:
        if now == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path / "run", before_step=twice)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_lets_the_step_finish_and_saves(tmp_path: Path) -> None:
    _, report = walk(
        tmp_path / "run", before_step=lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == 3 else None
    )
    assert (report.end, report.steps) == ("interrupted", 4)
    assert load_state(tmp_path / "run" / "state.pt")[0].step == 4


def test_the_best_checkpoint_has_the_best_of_the_scores(tmp_path: Path) -> None:
    scores = {2: 0.1, 4: 0.7, 6: 0.3, 8: 0.7, 10: 0.2, 12: 0.6}
    _, report = walk(tmp_path / "run", evaluate_every=2, scores=scores)
    assert (report.best_step, report.best_score) == (8, 0.7)  # of equal ones the later
    facts = load_checkpoint(tmp_path / "run" / "best.pt").training
    assert (facts["steps"], facts["score"]) == (8, 0.7)
    assert report.evaluation == {"score": 0.6, "twice": 1.2}
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["steps"] == 12


def test_reaching_the_target_ends_it(tmp_path: Path) -> None:
    scores = {2: 0.1, 4: 0.7}
    _, report = walk(tmp_path / "run", evaluate_every=2, scores=scores, target_score=0.7)
    assert (report.end, report.steps) == ("target", 4)
    _, again = walk(tmp_path / "run", evaluate_every=2, scores=scores, target_score=0.7, resume=True)
    assert (again.end, again.steps, again.resumed_from) == ("target", 4, 4)


def test_when_its_time_is_over_it_can_be_resumed(tmp_path: Path, whole: tuple[Walk, RunReport, Path]) -> None:
    _, report = walk(tmp_path / "run", evaluate_every=5, max_seconds=0.0)
    assert (report.end, report.steps, report.best) == ("time", 0, None)
    training, report = walk(tmp_path / "run", evaluate_every=5, resume=True)
    same(tmp_path / "run", training, report, whole)


def test_a_finished_run_resumed_does_nothing(whole: tuple[Walk, RunReport, Path]) -> None:
    _, of_whole, out = whole
    before = {path: path.read_bytes() for path in out.glob("*.csv")} | {out / "best.pt": (out / "best.pt").read_bytes()}
    _, report = walk(out, evaluate_every=5, resume=True)
    assert (report.end, report.resumed_from, report.best_score) == ("done", 12, of_whole.best_score)
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_it_and_the_last_good_state_stays(loss: float, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Diverged, match=f"loss became {loss} at step 8"):
        walk(out, save_seconds=0.0, loss=lambda step: loss if step == 8 else 1.0)
    assert load_state(out / "state.pt")[0].step == 7
    assert [row["step"] for row in rows(out / "progress.csv")] == [str(step) for step in range(1, 8)]


def test_a_score_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="score became nan in the evaluation after step 12"):
        walk(tmp_path / "run", scores={12: float("nan")})
    assert not (tmp_path / "run" / "best.pt").exists()


def test_a_used_directory_is_refused(whole: tuple[Walk, RunReport, Path], tmp_path: Path) -> None:
    before = sorted(path.name for path in whole[2].iterdir())
    with pytest.raises(ConfigError, match="is used already"):
        walk(whole[2])
    assert sorted(path.name for path in whole[2].iterdir()) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(ConfigError, match="is used already"):
        walk(tmp_path / "mine")


def test_resuming_where_no_run_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run to go on with"):
        walk(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_another_recipe_is_refused_by_the_names_of_all_differences(whole: tuple[Walk, RunReport, Path]) -> None:
    other = {**RECIPE, "lr": 0.2, "clip": 1.0}
    with pytest.raises(ConfigError, match=r"\$\.lr is 0\.1 there, 0\.2 given; \$\.clip is None there, 1\.0 given"):
        run(Walk(), RunOptions(whole[2], quiet=True, resume=True), other)


def test_a_directory_that_is_in_use_is_refused(tmp_path: Path) -> None:
    place = RunDirectory(tmp_path / "run")
    with (
        place.used(RECIPE, resume=False),
        pytest.raises(ConfigError, match="another process is training in"),
        place.used(RECIPE, resume=True),
    ):
        pass


def test_junk_is_no_state_and_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    for content in (b"junk", b""):
        path.write_bytes(content)
        with pytest.raises(PolicyFileError, match="is not the state of a run"):
            load_state(path)
    torch.save({"format_version": 99}, path)
    with pytest.raises(PolicyFileError, match="has state version 99, this release reads 1"):
        load_state(path)
    save_state(path, RunState(), {"bad": Path("x")})
    with pytest.raises(PolicyFileError, match="is not the state of a run"):
        load_state(path)


def test_nothing_goes_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(Walk(), RunOptions(tmp_path / "run"), RECIPE)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "vla-train: step 12 of 12, loss 0.0833" in captured.err
