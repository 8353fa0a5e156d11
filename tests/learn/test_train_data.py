"""``vla-train bc --data`` as a user and a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vla_runtime.cli.train import main
from vla_runtime.core.spec import CameraSpec
from vla_runtime.learn.checkpoint import load_checkpoint

from .logs import TEXTS, spec, write_episode


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "episodes"
    directory.mkdir()
    for episode in range(6):
        numbers = [10 * episode + i for i in range(1, 8)]
        write_episode(directory / f"e{episode}.mcap", numbers, instruction=TEXTS[episode % 2])
    return directory


def train(data: Path, out: Path, *more: str) -> int:
    given = ["--steps", "6"] if "--epochs" not in more else []
    return main(["bc", "--data", str(data), "--out", str(out), *given, "--batch-size", "8", "--threads", "1", *more])


def test_the_model_loads_and_the_last_line_says_how_it_was_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "junk.mcap").write_bytes(b"junk")
    out = tmp_path / "model.pt"
    assert train(data, out, "--json", "--val-fraction", "0.2", "--lr", "0.01") == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    report = json.loads(captured.out)
    assert (report["episodes"], report["validation_episodes"]) == (5, 1)
    assert (report["samples"], report["validation_samples"]) == (35, 7)
    assert (report["steps"], report["batch_size"], report["lr"]) == (6, 8, 0.01)
    assert list(report["unusable"]) == ["junk.mcap"]
    assert "left out" in captured.err
    assert "35 samples of 5 episodes, 1 episodes held out" in captured.err
    checkpoint = load_checkpoint(out)
    assert checkpoint.architecture == "visuomotor"
    assert checkpoint.spec.name == "sort"
    assert checkpoint.spec.instruction.texts == TEXTS
    assert checkpoint.training.items() <= report.items()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episodes", "model.pt"]


def test_training_lowers_both_errors(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for steps in ("1", "60"):
        options = ("--json", "--steps", steps, "--lr", "0.005", "--val-fraction", "0.4")
        assert train(data, tmp_path / "model.pt", *options) == 0
        report = json.loads(capsys.readouterr().out)
        losses.append((report["loss"], report["validation_loss"], report["error_rad"]))
    assert all(late < 0.8 * early for early, late in zip(*losses, strict=True))


@pytest.mark.parametrize("more", [(), ("--augment",)])
def test_equal_seeds_give_equal_weights(data: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    def weights(seed: str) -> torch.Tensor:
        torch.rand(7)
        assert train(data, tmp_path / "model.pt", "--quiet", "--seed", seed, *more) == 0
        policy = load_checkpoint(tmp_path / "model.pt").policy
        return torch.cat([parameter.flatten() for parameter in policy.parameters()])

    first = weights("5")
    assert torch.equal(weights("5"), first)
    assert not torch.equal(weights("6"), first)


def test_augmentation_is_asked_for(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for more in ((), ("--augment",)):
        assert train(data, tmp_path / "model.pt", "--json", *more) == 0
        losses.append(json.loads(capsys.readouterr().out)["loss"])
    assert losses[0] != losses[1]


def test_a_flow_policy_shown_the_takeover_learns_and_its_contract_says_so(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = []
    for steps in ("1", "60"):
        options = ("--architecture", "flow", "--state-time", "takeover", "--lr", "0.005", "--val-fraction", "0.4")
        assert train(data, tmp_path / "model.pt", "--json", "--steps", steps, *options) == 0
        report = json.loads(capsys.readouterr().out)
        losses.append((report["loss"], report["validation_loss"], report["error_rad"]))
    assert all(late < 0.8 * early for early, late in zip(*losses, strict=True))
    assert (report["architecture"], report["state_time"]) == ("flow", "takeover")
    contract = load_checkpoint(tmp_path / "model.pt").spec
    assert (contract.head, contract.state_time) == ("flow", "takeover")


def test_epochs_count_passes_over_the_data(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, tmp_path / "model.pt", "--json", "--epochs", "2", "--val-fraction", "0") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == round(2 * 42 / 8)
    assert report["validation_loss"] is None
    assert report["validation_samples"] == 0


def test_cameras_of_one_size_serve_the_tiny_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "episodes").mkdir()
    same = spec(cameras=(CameraSpec("front", 12, 20), CameraSpec("wrist", 12, 20)))
    write_episode(tmp_path / "episodes" / "a.mcap", contract=same)
    assert train(tmp_path / "episodes", tmp_path / "model.pt", "--architecture", "tiny", "--quiet") == 0
    assert load_checkpoint(tmp_path / "model.pt").architecture == "tiny"


def test_cameras_of_different_sizes_do_not(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(data, tmp_path / "model.pt", "--architecture", "tiny") == 2
    assert "--data: cameras of one size are needed" in capsys.readouterr().err
    assert not (tmp_path / "model.pt").exists()


def test_a_loss_that_is_not_finite_ends_with_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "model.pt", "--lr", "1e30", "--json") == 3
    captured = capsys.readouterr()
    assert "check the demonstrations and the rate 1e+30" in captured.err.splitlines()[-1]
    assert json.loads(captured.out)["exit"] == "fault"
    assert [path.name for path in tmp_path.iterdir()] == ["episodes"]


def test_an_interrupt_leaves_nothing_behind(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    for where in ("bc.BCLoss.forward", "frames._decode"):
        with monkeypatch.context() as patch:
            patch.setattr(f"vla_runtime.learn.{where}", interrupted)
            assert train(data, tmp_path / "model.pt") == 130
        assert [path.name for path in tmp_path.iterdir()] == ["episodes"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--steps", "0"], "--steps: 0 given, expected at least 1"),
        (["--threads", "0"], "--threads: 0 given, expected at least 1"),
        (["--epochs", "0"], "--epochs: 0.0 given, expected more than 0"),
        (["--lr", "nan"], "--lr: nan given, expected more than 0"),
        (["--val-fraction", "1"], "--val-fraction: 1.0 given, expected 0 or more, less than 1"),
        (["--episodes", "5"], "--episodes: has no meaning with --data"),
    ],
)
def test_an_option_out_of_range_is_refused(
    tmp_path: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bc", "--data", str(tmp_path), *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--epochs", "3"],
        ["--val-fraction", "0.1"],
        ["--architecture", "tiny"],
        ["--augment"],
        ["--state-time", "takeover"],
    ],
    ids=str,
)
def test_what_belongs_to_data_is_refused_with_an_environment(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bc", "--env", "toy", *argv]) == 2
    assert f"{argv[0]}: has no meaning with --env" in capsys.readouterr().err


def test_exactly_one_source_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc"]) == 2
    assert "one of --data and --env is needed" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["bc", "--env", "toy", "--data", "episodes"])
    assert ended.value.code == 2
    assert "--env" in capsys.readouterr().err


def test_a_directory_without_episodes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc", "--data", str(tmp_path), "--out", str(tmp_path / "model.pt")]) == 2
    assert "holds no episode to learn from" in capsys.readouterr().err


def test_a_store_trains_to_the_same_weights_as_its_episodes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "--data", str(data), "--out", str(tmp_path / "store"), "--quiet"]) == 0
    weights = []
    for source in (data, tmp_path / "store"):
        assert train(source, tmp_path / "model.pt", "--quiet", "--augment") == 0
        made = load_checkpoint(tmp_path / "model.pt")
        weights.append(torch.cat([parameter.flatten() for parameter in made.policy.parameters()]))
        contract = made.spec
    assert torch.equal(*weights)
    assert contract.name == "sort"
