"""Recipes in YAML say what the code says, and a mistake in one is named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from vla_runtime.cli.train import main
from vla_runtime.cli.train_recipe import RECIPES
from vla_runtime.core.errors import ConfigError
from vla_runtime.core.shipped import shipped_yaml
from vla_runtime.learn import toy
from vla_runtime.learn.bc_recipe import BcRecipe
from vla_runtime.learn.checkpoint import load_checkpoint
from vla_runtime.learn.recipes import LOGS, TOY
from vla_runtime.learn.runs.recipe_file import load_recipe, plain

from ..docs.markdown import ROOT, blocks, rows, section

OURS = [name for name, path in shipped_yaml("recipes").items() if yaml.safe_load(path.read_text())["method"] == "bc"]


def written(path: Path, text: str) -> str:
    file = path / "mine.yaml"
    file.write_text(text)
    return str(file)


def test_the_shipped_recipes_are_those_of_the_code() -> None:
    assert load_recipe("toy-bc", BcRecipe).recipe() == TOY
    assert BcRecipe().recipe() == LOGS
    reach, track = load_recipe("arm-reach-bc", BcRecipe), load_recipe("arm-track-flow", BcRecipe)
    assert reach.recipe() == replace(LOGS, steps=RECIPES["reach"].steps)
    assert track.recipe() == replace(LOGS, steps=RECIPES["track"].steps, architecture="flow", state_time="takeover")


@pytest.mark.parametrize("name", OURS)
def test_every_shipped_recipe_is_complete_with_its_source(name: str) -> None:
    recipe = load_recipe(name, BcRecipe)
    source = {} if recipe.env else {"data": "episodes"}
    BcRecipe(**plain(recipe) | source).check()


def test_a_recipe_comes_back_from_yaml_as_it_was(tmp_path: Path) -> None:
    recipe = BcRecipe(env="toy", clip=None, keep=("a0",), seed=3)
    assert load_recipe(written(tmp_path, yaml.safe_dump(plain(recipe))), BcRecipe) == recipe
    assert recipe.clip is None
    assert BcRecipe(env="toy", clip=None).recipe().clip == math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stpes: 3", r"mine\.yaml: \$\.stpes: unknown key; valid: .*; did you mean 'steps'"),
        ("steps: 0", r"\$\.steps: expected `int` >= 1, got 0"),
        ("lr: fast", r"\$\.lr: expected `float`, got `str`"),
        ("lr: .nan", r"\$\.lr: nan, expected a finite number"),
        ("scaling: minmax", r"\$\.scaling: 'minmax' is not possible; valid: mean_std, min_max, quantiles"),
        ("method: grpo", r"\$\.method: 'grpo' is not possible; valid: bc"),
        ("steps: 3\nsteps: 4", "key 'steps' stands twice"),
        ("- 3", r"\$: expected `object`"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_choices(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(written(tmp_path, text), BcRecipe)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (BcRecipe(), "expected one of them"),
        (BcRecipe(data="a", env="toy"), "expected one of them"),
        (BcRecipe(data="a", architecture="tinny"), r"\$\.architecture: 'tinny' given; valid: .*did you mean 'tiny'"),
        (BcRecipe(data="a", architecture="flow", head="tokens"), r"\$\.head: 'tokens' given, flow has: flow"),
        (BcRecipe(env="toy", augment=True), r"\$\.augment: True has no meaning with an environment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_do_not_go_together_are_refused(recipe: BcRecipe, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe.check()


def test_an_unknown_recipe_lists_the_shipped_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bc", "--recipe", "toy-bd"]) == 2
    assert "did you mean 'toy-bc'?" in capsys.readouterr().err


def test_options_override_the_file(tmp_path: Path) -> None:
    text = "env: toy\narchitecture: tiny\nsteps: 5\nbatch_size: 8\nlr: 0.001\nthreads: 1\nepisodes: 4\n"
    file = written(tmp_path, text)
    assert main(["bc", "--recipe", file, "--steps", "2", "--run", str(tmp_path / "run"), "--quiet"]) == 0
    saved = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert (saved["steps"], saved["batch_size"], saved["lr"], saved["env"]) == (2, 8, 0.001, "toy")


@pytest.mark.parametrize("mode", ["min_max", "quantiles"])
def test_the_normalisation_that_is_asked_for_is_in_the_contract(mode: str, tmp_path: Path) -> None:
    name = next(iter(toy.facts().actions))
    out = tmp_path / "model.pt"
    sizes = ["--steps", "2", "--episodes", "2", "--batch-size", "8", "--threads", "1", "--quiet", "--out", str(out)]
    assert main(["bc", "--env", "toy", "--scaling", mode, "--keep", name, "--clamp", "1.5", *sizes]) == 0
    normalisation = load_checkpoint(out).spec.normalisation
    assert (normalisation.mode, normalisation.keep, normalisation.clamp) == (mode, (name,), 1.5)
    assert (normalisation.action_mean[0], normalisation.action_std[0]) == (0.0, 1.0)


def test_a_name_to_keep_that_is_neither_state_nor_action_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.pt"
    assert main(["bc", "--env", "toy", "--keep", "grip", "--steps", "1", "--threads", "1", "--out", str(out)]) == 2
    assert "grip" in capsys.readouterr().err
    assert not out.exists()


def test_the_page_names_every_key_with_its_default_and_its_example_is_a_recipe(tmp_path: Path) -> None:
    page = ROOT / "docs" / "training.md"
    text = section(page, "## Recipes")
    documented = {key: default.strip("`") for key, default, _ in rows(text)}
    assert list(documented) == list(BcRecipe.__struct_fields__)
    for name, default in plain(BcRecipe()).items():
        if default is not None:
            assert yaml.safe_load(documented[name]) == default, name
    (example,) = [block.text for block in blocks(page, "yaml")]
    load_recipe(written(tmp_path, example), BcRecipe).check()
