"""``vla-train bc`` and ``vla-train store`` take the data sets of other projects as they take episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from vla_runtime.cli.train import main
from vla_runtime.core.spec import PolicySpec
from vla_runtime.learn.checkpoint import load_checkpoint
from vla_runtime.learn.store.open import open_store

from .made import ACTIONS, CAMERAS, HEIGHT, LENGTHS, TEXTS, WIDTH

OPTIONS = {"v2.1": [], "v3.0": [], "openx": ["--rate-hz", "10"]}
SHORT = ["--steps", "2", "--batch-size", "4", "--threads", "1", "--val-fraction", "0.3", "--quiet"]


def trained(data: Path, out: Path, *options: str) -> tuple[PolicySpec, torch.Tensor]:
    assert main(["bc", "--data", str(data), "--out", str(out), *SHORT, *options]) == 0
    made = load_checkpoint(out)
    return made.spec, torch.cat([parameter.flatten() for parameter in made.policy.parameters()])


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_data_set_and_the_store_made_of_it_train_to_the_same_policy(
    kind: str, made: dict[str, Path], tmp_path: Path
) -> None:
    options = ["--chunk-length", "4", "--units", "rad", *OPTIONS[kind]]
    direct, weights = trained(made[kind], tmp_path / "direct.pt", *options)
    store = tmp_path / "store"
    assert main(["store", "--data", str(made[kind]), "--out", str(store), "--quiet", *options]) == 0
    through, same = trained(store, tmp_path / "through.pt")
    assert through == direct
    assert torch.equal(weights, same)
    assert open_store(store).lengths == list(LENGTHS)
    assert direct.chunk_length == 4
    assert direct.instruction.texts == TEXTS
    assert {action.unit for action in direct.actions} == {"rad"}
    assert direct.state_time == "capture"


def test_the_contract_names_what_the_data_set_names(lerobot: str, made: dict[str, Path], tmp_path: Path) -> None:
    spec, _ = trained(made[lerobot], tmp_path / "model.pt", "--size", "16x24")
    assert tuple(action.name for action in spec.actions) == ACTIONS
    assert [(c.name, c.height, c.width) for c in spec.cameras] == [(name, 16, 24) for name in CAMERAS]
    assert spec.dt_ns == round(1e9 / 30)
    assert spec.chunk_length == 16
    whole, _ = trained(made[lerobot], tmp_path / "model.pt", "--cameras", CAMERAS[1])
    assert [(c.name, c.height, c.width) for c in whole.cameras] == [(CAMERAS[1], HEIGHT, WIDTH)]


def test_how_a_data_set_is_read_is_in_the_recipe_of_a_run(made: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    argv = ["bc", "--data", str(made["openx"]), "--rate-hz", "10", "--run", str(run), *SHORT]
    assert main(argv) == 0
    saved = yaml.safe_load((run / "recipe.yaml").read_text())
    assert saved["data_set"]["rate_hz"] == 10
    again = ["bc", "--recipe", str(run / "recipe.yaml"), "--out", str(tmp_path / "model.pt"), "--quiet"]
    assert main(again) == 0
    assert load_checkpoint(tmp_path / "model.pt").spec.dt_ns == 100_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "does not say how many steps a second"),
        (["--rate-hz", "0"], "rate_hz is 0.0, expected more than 0"),
        (["--rate-hz", "10", "--size", "96"], "--size: '96' given, expected height and width in pixels, as 96x96"),
        (["--rate-hz", "10", "--chunk-length", "0"], "chunk_length is 0, expected at least 1"),
        (["--rate-hz", "10", "--cameras", "left"], "left"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_both_commands(
    options: list[str], message: str, made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("bc", "store"):
        assert main([command, "--data", str(made["openx"]), "--out", str(tmp_path / "out"), *options]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_our_own_data_leave_no_option_open(
    made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert main(["store", "--data", str(made["v2.1"]), "--out", str(store), "--quiet"]) == 0
    for options, message in (
        (["--rate-hz", "10"], f"--rate-hz: 10.0 given, but {store} says so itself"),
        (["--chunk-length", "8"], f"--chunk-length: 8 given, {store} holds chunks of 16 rows already"),
    ):
        assert main(["bc", "--data", str(store), "--out", str(tmp_path / "model.pt"), *options]) == 2
        assert message in capsys.readouterr().err
    assert main(["bc", "--env", "toy", "--rate-hz", "10", "--out", str(tmp_path / "model.pt")]) == 2
    assert "has no meaning with an environment" in capsys.readouterr().err
