from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.errors import RecipeError
from lungsight.training.recipe import load_recipe
from lungsight.training.run_folder import RunFolder


def test_the_recipe_is_there_before_the_run_begins_and_may_still_be_changed(tmp_path: Path) -> None:
    first, second = load_recipe("demo"), load_recipe("demo", ["seed=7"])
    RunFolder(first, tmp_path, writes=True)
    assert load_recipe(str(tmp_path / "recipe.toml")) == first
    RunFolder(second, tmp_path, writes=True)
    assert load_recipe(str(tmp_path / "recipe.toml")) == second


def test_a_run_that_has_begun_keeps_its_recipe(tmp_path: Path) -> None:
    RunFolder(load_recipe("demo"), tmp_path, writes=True)
    (tmp_path / "environment.json").write_text("{}")
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        RunFolder(load_recipe("demo", ["seed=7"]), tmp_path, writes=True)
