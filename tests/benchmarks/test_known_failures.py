"""The published failures: the images are what each case says, and the summary reads what was measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.leakage import find_leaks
from lungsight.radiograph import View

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "quality" / "known_failures.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("known_failures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


known = _loaded()
FEW = known.Sizes(train=24, test=12, pixels=32)
BY_NAME = {case.name: case for case in known.CASES}


@pytest.fixture(scope="module", params=BY_NAME)
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    return request.param, BY_NAME[request.param].make(tmp_path_factory.mktemp("images"), FEW)


def test_sides_share_patients_only_where_that_is_planted(planted: tuple[str, Any]) -> None:
    name, images = planted
    table = images.manifest.table
    assert set(table["split"]) == {"train", "validation", "test"}
    shared = {leak.name for leak in find_leaks(images.manifest, []) if leak.what == "patient"}
    assert bool(shared) == (name == "patients on both sides")
    seen = set(images.manifest.patient_key)
    assert not seen & set(images.fair.patient_key)
    assert images.fair.table["label"].eq("covid19").nunique() == 2


def test_what_is_planted_follows_the_label_as_the_case_says(planted: tuple[str, Any]) -> None:
    name, images = planted
    table = images.manifest.table
    positive = table["label"] == "covid19"
    assert positive.nunique() == 2
    marked = {"letters": table["shortcut"] != "", "arrows": table["path"].str.contains("arrows")}
    for case, mark in marked.items():
        assert (mark == positive).all() if name == case else not mark.equals(positive)
    one_sided = table.groupby("source")["label"].agg(lambda labels: labels.eq("covid19").nunique()).eq(1)
    assert one_sided.all() == (name == "one source per class")
    if name == "portable against standing":
        in_bed = table["view"] == View.AP
        assert in_bed[positive].mean() > 1 / 2 > in_bed[~positive].mean()


def test_copies_are_the_same_images_under_other_names(tmp_path: Path) -> None:
    images = BY_NAME["duplicates"].make(tmp_path, FEW).manifest.table
    copied = images[images["patient"].str.startswith("copy-")]
    assert set(copied["split"]) == {"test"}
    originals = images[images["split"] != "test"].iloc[::5]
    assert list(copied["label"]) == list(originals["label"])
    for place, (copy, original) in enumerate(zip(copied["path"], originals["path"], strict=True)):
        assert (Path(copy).read_bytes() == Path(original).read_bytes()) == (place % 2 == 0)
        smaller = np.asarray(Image.open(original).resize(Image.open(copy).size), dtype=float)
        assert np.abs(smaller - np.asarray(Image.open(copy))).mean() < 20


def test_an_arrow_changes_little_of_the_image(tmp_path: Path) -> None:
    without = known.phantoms(tmp_path, "train", FEW)
    table = known.with_arrows(without, tmp_path / "arrows").table
    for before, after, label, boxes in zip(
        without.table["path"], table["path"], table["label"], table["boxes"], strict=True
    ):
        changed = (np.asarray(Image.open(before)) != np.asarray(Image.open(after))).mean()
        assert (0 < changed < 0.1) if label == "covid19" and boxes != "[]" else changed == 0


def test_the_summary_has_a_row_for_each_case_that_was_measured(tmp_path: Path) -> None:
    figure = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40}
    line = {
        "case": "letters", "named": {}, "grade": "internal only", "shortcut": "not looked for", "status_of_check": 0,
        "can_answer": "no", "trained": 1, "tested": 2, "auroc": figure, "auroc_fair": figure | {"value": None},
    }  # fmt: skip
    again = line | {"named": {known.SHORTCUT_FOUND: "by lungs hidden", "another": ""}}
    control = line | {"case": "control", "named": {"another": ""}}
    lines = [json.dumps(one) for one in (line, again, control)]
    (tmp_path / "results.jsonl").write_text("\n".join([*lines, lines[0][:-9]]), "utf-8")
    table = known.summary(known.read(tmp_path), known.CASES).set_index("case")
    assert list(table.index) == ["control", "letters"]
    assert list(table["as_it_must"]) == ["no", "yes"]
    assert list(table["missed"]) == ["", ""]
    assert (table.loc["letters", "auroc_low"], table.loc["letters", "auroc_n"]) == (0.8, 40)
    missing = known.summary({"letters": line}, known.CASES).iloc[0]
    assert (missing["as_it_must"], missing["missed"]) == ("no", known.SHORTCUT_FOUND)
