"""A whole training on phantoms, small, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lungsight.components.input_gate import Gate, GateDescription
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.ood_images import Kind, families
from lungsight.errors import ManifestError, RecipeError
from lungsight.training.gate import GateRecipe, run, train_gate
from lungsight.training.gate.features import ViewFeatures, group_features
from lungsight.training.gate.groups import Group, groups, kinds_of, sides_of

RECIPE = GateRecipe(
    weights="random", image_size=96, films_per_source=10, views_per_film=2, decoys_per_family=2, broken_per_source=1,
    phantoms=2, components=4, epochs=2, batch_size=16,
    without_families=tuple(name for name in sorted(families()) if name not in ("hand", "text page", "cropped")),
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(phantoms: Manifest, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    return train_gate(RECIPE, phantoms, folder, seed=1, cache=cache, console=Console(quiet=True))


@pytest.mark.slow
def test_the_gate_can_be_asked(trained: Path, phantoms: Manifest) -> None:
    description = GateDescription.model_validate_json((trained / "gate.json").read_text("utf-8"))
    gate = Gate((trained / "gate.onnx").read_bytes(), description, threads=1)
    answer = gate.ask(np.zeros((200, 180), np.float32))
    assert 0 <= answer.probability <= 1
    assert description.kinds[0] == "frontal"
    assert set(description.decoys) == {"hand", "text page", "cropped"}
    assert sum(description.trained_on.values()) <= 2 * RECIPE.films_per_source
    assert (trained / "gate.onnx").stat().st_size < 2.5e6


@pytest.mark.slow
def test_the_same_seed_trains_the_same_gate(trained: Path, phantoms: Manifest, cache: Path, tmp_path: Path) -> None:
    again = train_gate(RECIPE, phantoms, tmp_path, seed=1, cache=cache, console=Console(quiet=True))
    assert (again / "gate.onnx").read_bytes() == (trained / "gate.onnx").read_bytes()
    assert (again / "gate.json").read_text() == (trained / "gate.json").read_text()


@pytest.mark.slow
def test_a_finished_gate_is_left_alone_and_another_recipe_refused(
    trained: Path, phantoms: Manifest, cache: Path
) -> None:
    before = (trained / "gate.onnx").stat().st_mtime_ns
    train_gate(RECIPE, phantoms, trained, seed=1, cache=cache, console=Console(quiet=True))
    assert (trained / "gate.onnx").stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match="another recipe, seed"):
        train_gate(RECIPE, phantoms, trained, seed=2, cache=cache, console=Console(quiet=True))


@pytest.mark.slow
def test_what_was_seen_before_an_interruption_is_kept(
    trained: Path, phantoms: Manifest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = set(cache.glob("gate-*/*.npz"))
    asked: list[str] = []

    def breaking(group: Group, *others: Any) -> ViewFeatures:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(group.name)
        return group_features(group, *others)

    monkeypatch.setattr(run, "group_features", breaking)
    recipe = RECIPE.model_copy(update={"views_per_film": 1})
    with pytest.raises(KeyboardInterrupt):
        train_gate(recipe, phantoms, tmp_path / "gate", seed=1, cache=cache, console=Console(quiet=True))
    assert len(set(cache.glob("gate-*/*.npz")) - kept) == 2
    assert not (tmp_path / "gate" / "gate.onnx").exists()


def test_test_patients_and_left_out_sources_are_never_shown(phantoms: Manifest) -> None:
    sides = pd.Series(sides_of(phantoms, 1), index=phantoms.table["path"])
    chosen = groups(RECIPE.model_copy(update={"films_per_source": 1000}), phantoms, 1)
    shown = {path for group in chosen for path in group.paths}
    assert shown == set(sides.index[sides != "test"])
    source = phantoms.table["source"].iloc[0]
    rest = groups(RECIPE.model_copy(update={"without_sources": (source,)}), phantoms, 1)
    assert source not in {group.source for group in rest}


def test_a_patients_side_is_one_and_the_manifests_own_counts(phantoms: Manifest) -> None:
    sides = pd.Series(sides_of(phantoms, 1))
    assert sides.groupby(phantoms.patient_key.to_numpy()).nunique().max() == 1
    stated = phantoms.with_columns(split="test")
    assert set(sides_of(stated, 1)) == {"test"}


def test_images_of_another_part_of_the_body_are_what_to_refuse(phantoms: Manifest) -> None:
    parts = ["", "chest", "Thorax", "hand", "pelvis"] * len(phantoms)
    stated = phantoms.with_columns(body_part=parts[: len(phantoms)], split="train", modality="X-ray")
    kinds = kinds_of(stated)
    assert set(kinds[stated.table["body_part"].isin(["hand", "pelvis"])]) == {Kind.OTHER_PART}
    assert set(kinds[stated.table["body_part"].isin(["", "chest", "Thorax"])]) == {Kind.FRONTAL}
    assert set(kinds_of(stated.with_columns(modality="CT"))) == {Kind.SLICE}
    shown = {path for group in groups(RECIPE, stated, 1) if group.kind is Kind.OTHER_PART for path in group.paths}
    assert shown == set(stated.table["path"][kinds == Kind.OTHER_PART])


def test_a_kind_can_be_left_out_whole(phantoms: Manifest) -> None:
    kinds = {g.kind for g in groups(RECIPE.model_copy(update={"without_kinds": ("other part",)}), phantoms, 1)}
    assert Kind.OTHER_PART not in kinds
    assert Kind.FRONTAL in kinds


@pytest.mark.slow
def test_no_frontal_film_is_one_clear_sentence(phantoms: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no frontal chest X-ray to train on"):
        train_gate(
            RECIPE, phantoms.with_columns(view="lateral"), tmp_path, cache=tmp_path, console=Console(quiet=True)
        )


@pytest.mark.slow
def test_the_recipe_stands_beside_the_gate(trained: Path) -> None:
    stated = json.loads((trained / "gate-recipe.json").read_text("utf-8"))
    assert stated.pop("seed") == 1
    assert GateRecipe.model_validate(stated) == RECIPE
