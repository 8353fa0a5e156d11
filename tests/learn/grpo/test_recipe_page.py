"""docs/training.md names every key of a practice recipe with its default, and every shipped recipe."""

from __future__ import annotations

import yaml

from vla_runtime.core.shipped import shipped_yaml
from vla_runtime.learn.grpo.recipe import GrpoRecipe
from vla_runtime.learn.runs.recipe_file import load_recipe, plain

from ...docs.markdown import ROOT, rows, section

TEXT = section(ROOT / "docs" / "training.md", "## Practice")


def test_every_key_is_named_in_order_with_its_default() -> None:
    documented = {key: yaml.safe_load(default.strip("`")) for key, default, _ in rows(TEXT)}
    assert list(documented) == list(GrpoRecipe.__struct_fields__)
    assert documented == plain(GrpoRecipe())


def test_every_shipped_recipe_of_practice_is_named_and_can_be_read() -> None:
    methods = {name: yaml.safe_load(path.read_text())["method"] for name, path in shipped_yaml("recipes").items()}
    practice = [name for name, method in methods.items() if method == "grpo"]
    assert practice
    for name in practice:
        assert f"`{name}`" in TEXT
        assert load_recipe(name, GrpoRecipe).method == "grpo"
