"""A table of predictions gets the guessed view of its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.guessed_views import with_guessed_views
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import ModelPackage
from lungsight.package.storage import GATE
from tiny_package import write_tiny
from tiny_parts import describe_gate, tiny_gate

STATED = {"low": 0.3, "high": 0.8, "aim": 0.9, "chosen_on": 50, "trained_on": {}}


def package(folder: Path, kind: str = "frontal") -> ModelPackage:
    write_tiny(folder, gate=describe_gate(view=STATED), parts={GATE: tiny_gate(kind, ap=4.0)})
    return ModelPackage.open(folder)


@pytest.fixture
def testset(tmp_path: Path) -> TestSet:
    """An image, a blank one and a file that is none."""
    pixels = np.round(draw(1, Label.COVID19, size=96).pixels * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "chest.png")
    Image.fromarray(0 * pixels).save(tmp_path / "blank.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    paths = [str(tmp_path / f"{name}.png") for name in ("chest", "blank", "broken")]
    return TestSet(pd.DataFrame({"path": paths, "view": ["PA", "", ""]}), ("a", "b"), "a", pd.DataFrame())


def test_the_guess_stands_beside_the_stated_view(testset: TestSet, tmp_path: Path) -> None:
    found = with_guessed_views(testset, package(tmp_path / "package")).table
    assert found["view_guess"].tolist() == ["AP", "", ""]
    assert found["view_ap"].iloc[0] == pytest.approx(0.982, abs=1e-3)
    assert found["view_ap"].iloc[1:].isna().all()
    assert found["view"].tolist() == ["PA", "", ""]


def test_what_the_gate_refuses_has_no_view(testset: TestSet, tmp_path: Path) -> None:
    found = with_guessed_views(testset, package(tmp_path / "package", "lateral")).table
    assert (found["view_guess"] == "").all()


def test_guesses_are_kept(testset: TestSet, tmp_path: Path) -> None:
    store, asked = AnswerStore.in_memory(), []
    classifier = package(tmp_path / "package")
    first = with_guessed_views(testset, classifier, store=store)
    again = with_guessed_views(testset, classifier, store=store, progress=lambda done, of: asked.append(done))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not asked


def test_without_a_view_classifier_nothing_is_added(testset: TestSet) -> None:
    assert with_guessed_views(testset, None) is testset
