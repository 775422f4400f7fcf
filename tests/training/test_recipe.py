from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lungsight.errors import RecipeError
from lungsight.training.recipe import Recipe, as_toml, built_in_recipes, load_recipe


@pytest.mark.parametrize("name", ["article", "baseline", "demo", "released", "balanced"])
def test_built_in_recipes_validate_and_survive_being_written(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert name in built_in_recipes()
    path = tmp_path / "recipe.toml"
    path.write_text(as_toml(recipe), "utf-8")
    assert load_recipe(str(path)) == recipe


def test_the_article_is_as_published() -> None:
    recipe = load_recipe("article")
    assert (recipe.backbone, recipe.image_size, recipe.batch_size) == ("resnet50", 512, 8)
    assert [(s.epochs, s.frozen, s.lr) for s in recipe.stages] == [
        (1, True, None),
        (2, True, None),
        (10, False, (9e-7, 1e-6)),
        (30, False, (6e-7, 7e-6)),
        (40, False, (8e-6, 1e-5)),
        (5, False, (2e-6, 2e-6)),
    ]
    assert (recipe.split.unit, recipe.split.validation, recipe.learning_rate_search.before_stages) == (
        "image",
        0.25,
        True,
    )


def test_any_key_can_be_set() -> None:
    settings = [
        "backbone=resnet34",
        "image_size=1024",
        "stages.1.epochs=7",
        "split.unit=patient",
        "stages.2.lr=[1e-5,1e-4]",
    ]
    recipe = load_recipe("article", settings)
    assert (recipe.backbone, recipe.image_size, recipe.split.unit) == ("resnet34", 1024, "patient")
    assert recipe.stages[1].epochs == 7
    assert recipe.stages[2].lr == (1e-5, 1e-4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("imagesize=3", "imagesize: there is no such key; did you mean image_size?"),
        ("split.unti=image", "split.unti: there is no such key; did you mean unit?"),
        ("stages.0.epoch=1", "stages.0.epoch: there is no such key; did you mean epochs?"),
        ("gate={sise=1}", "gate.sise: there is no such key"),
        ("zzz=1", "zzz: there is no such key;"),
        ("name=../evil", "name: String should match pattern"),
        ("image_size=big", "image_size: Input should be a valid integer"),
        ("image_size", "is not key=value"),
        ("stages.9.epochs=1", "no entry '9'"),
        ("name.x=1", "holds a value, not keys"),
        ("split.validation=1.0", "split.validation: Input should be less than 1"),
        ("target=flu", "target 'flu' is not among the classes"),
        ('classes.flu=["covid19"]', "label 'covid19' is in two classes"),
        ("soft_labels.vague={flu=1.0}", "names 'flu', which isn't a class"),
        ("soft_labels.vague={covid19=0.5}", "don't sum to 1"),
        ("soft_labels.covid19={covid19=1.0}", "is in a class, too"),
        ("guidance={weight=1, healthy='well'}", "guidance.healthy 'well' is not among the classes"),
        ("guidance.weight=-1", "guidance.weight: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("article", [setting])
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_setting_ends_in_anything_but_a_recipe_or_a_sentence(key: str, value: str) -> None:
    with contextlib.suppress(RecipeError):
        load_recipe("article", [f"{key}={value}"])


def test_guidance_needs_a_geometry_it_can_follow() -> None:
    with pytest.raises(RecipeError, match="needs geometry squash or lungs"):
        load_recipe("released", ["geometry=pad"])


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(RecipeError, match="give article, balanced, baseline, demo"):
        load_recipe("articel")


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = \n", "utf-8")
    with pytest.raises(RecipeError, match=r"mine\.toml: is not TOML .*line 1"):
        load_recipe(str(path))
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(path.read_text())


@pytest.mark.parametrize(
    "override",
    [
        "seed=99999999999999999999999",
        "weight_decay=inf",
        "stages=[{epochs=1, lr=nan}]",
        "stages=[{epochs=1, lr=-1}]",
        "stages.²=1",
    ],
)
def test_a_number_that_no_training_can_use_is_refused_at_once(override: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe("baseline", [override])


def test_classes_of_the_command_line_take_the_place_of_the_recipes() -> None:
    recipe = load_recipe("baseline", [], {"covid19": ["covid19"], "other": ["*"]})
    assert recipe.classes == {"covid19": ("covid19",), "other": ("*",)}
    assert recipe.target == "covid19"
    assert load_recipe("baseline", [], {"rest": ["*"], "tb": ["tuberculosis"]}).target == "tb"


def test_what_a_recipe_says_of_other_classes_is_left_out() -> None:
    recipe = load_recipe("released", [], {"covid19": ["covid19"], "other": ["*"]})
    assert recipe.soft_labels == {}
    assert recipe.guidance.weight == 0


def test_a_recipe_of_a_package_made_before_keys_were_taken_out_is_read() -> None:
    content = load_recipe("released").model_dump(mode="json", exclude_none=True)
    older = content | {
        "source_adversary": {"weight": 0.0},
        "teachers": {"packages": [], "weight": 0.5},
        "sampling": content["sampling"] | {"mix_sources": 0.0},
    }
    assert Recipe.model_validate(older) == load_recipe("released")
    for used in ({"source_adversary": {"weight": 0.3}}, {"teachers": {"packages": ["a"]}}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            Recipe.model_validate(older | used)
