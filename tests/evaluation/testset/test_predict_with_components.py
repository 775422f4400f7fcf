"""A package's other components run on every test image as in scanning, once, and their answers are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.audits.drawn import LUNGS, KnownLungs, chests
from lungsight.components.input_gate import GateResult
from lungsight.components.lungs import Box
from lungsight.components.view import ViewGuess
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import DECISION, INVERTED, LUNG_FAULTS, REFUSED, UNFAMILIAR, TestSet
from lungsight.inference import Detector
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, Preprocessing
from lungsight.radiograph import View

Make = Callable[..., Detector]


@dataclass
class AgainstDark:
    """Refuses what is darker than ``least``, and takes what is very bright for a negative."""

    least: float = 0.35

    def ask(self, pixels: np.ndarray) -> GateResult:
        mean = float(pixels.mean())
        refusals = ("The image is dark.", "It is blurred.") if mean < self.least else ()
        return GateResult(refusals, (), 0.9, inverted=mean > 0.8)


class FarWhereBright:
    threshold = 0.5
    description = SimpleNamespace(percentile=95.0, threshold=0.5)

    def distance(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features.mean(axis=1), dtype=np.float64)


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    return chests(tmp_path / "films", 8, lungs=lambda sick: 0.7 if sick else 0.3, around=lambda _: 0.4)


@pytest.fixture
def make_detector(make_package: Callable[[pd.DataFrame], Path], rows: pd.DataFrame) -> Callable[..., Detector]:
    """The brightness model with these components; ``crops``: the network sees the box around the lungs only."""
    package = ModelPackage.open(make_package(rows))

    def make(lungs: object = None, gate: object = None, *, crops: bool = False, **more: Any) -> Detector:
        network = package.network(1, features=True)
        detector = Detector(package, network, ImageChecker(lungs, gate), features=True, **more)  # type: ignore[arg-type]
        if crops:
            preprocessing = Preprocessing(image_size=32, geometry="lungs", margin=0.0)
            detector.description = detector.description.model_copy(update={"preprocessing": preprocessing})
            detector.preprocessing = preprocessing
        return detector

    return make


def make_testset(detector: Detector, rows: pd.DataFrame, store: AnswerStore | None = None) -> TestSet:
    return predict_manifest_images(detector, Manifest.of(rows.assign(split=""), "chests"), store=store)


def test_a_package_without_components_gets_none_of_their_columns(make_detector: Make, rows: pd.DataFrame) -> None:
    found = make_testset(make_detector(), rows)
    assert found.lungs == ()
    assert not {REFUSED, INVERTED, UNFAMILIAR, LUNG_FAULTS} & set(found.table.columns)
    assert found.crop_of(0) is None


def test_lungs_are_found_once_kept_and_used_for_the_crop(make_detector: Make, rows: pd.DataFrame) -> None:
    lungs, store = KnownLungs(), AnswerStore.in_memory()
    first = make_testset(make_detector(lungs, crops=True), rows, store)
    assert len(lungs.asked) == 8
    assert first.crop_of(3) == Box(14 / 80, 20 / 80, 66 / 80, 60 / 80)
    seen = [np.asarray(Image.open(path), dtype=float)[20:60, 14:66].mean() / 255 for path in rows["path"]]
    margins = (first.table["logit_covid19"] - first.table["logit_other"]).to_numpy()
    np.testing.assert_allclose(margins, 16 * (np.array(seen) - 0.5), atol=0.05)
    again = make_testset(make_detector(lungs, crops=True), rows, store)
    assert len(lungs.asked) == 8
    pd.testing.assert_frame_equal(again.table, first.table)
    assert [one.digest for one in again.lungs if one] == [one.digest for one in first.lungs if one]
    make_testset(make_detector(lungs, crops=True, lungs_from="another package"), rows, store)
    assert len(lungs.asked) == 16


def test_what_another_gate_refused_is_not_kept(make_detector: Make, rows: pd.DataFrame) -> None:
    """A package's id names its components, and answers are kept by it."""
    store = AnswerStore.in_memory()
    strict, mild = make_detector(gate=AgainstDark(0.9)), make_detector(gate=AgainstDark(0.0))
    strict.model, mild.model = "gated 1", "gated 2"
    assert (make_testset(strict, rows, store).table[REFUSED] != "").all()
    assert (make_testset(mild, rows, store).table[REFUSED] == "").all()
    assert set(make_testset(strict, rows, store).table[DECISION]) == {"refused"}


def test_borrowed_lungs_are_for_the_audits_and_never_crop(make_detector: Make, rows: pd.DataFrame) -> None:
    whole = KnownLungs(np.ones_like(LUNGS))
    found = make_testset(make_detector(audit_lungs=whole, lungs_from="theirs"), rows)
    assert found.lungs[0] is not None
    assert found.lungs[0].mask.all()
    assert found.crop_of(0) is None
    pd.testing.assert_series_equal(
        found.table["logit_covid19"], make_testset(make_detector(), rows).table["logit_covid19"]
    )
    mixed = make_testset(make_detector(KnownLungs(), crops=True, audit_lungs=whole, lungs_from="theirs"), rows)
    assert mixed.lungs[0] is not None
    assert mixed.lungs[0].mask.all()
    assert mixed.crop_of(0) == Box(14 / 80, 20 / 80, 66 / 80, 60 / 80)


def test_what_the_gate_refuses_is_judged_all_the_same(make_detector: Make, rows: pd.DataFrame) -> None:
    dark = np.round(np.random.default_rng(0).uniform(0.0, 0.4, (80, 80)) * 255).astype(np.uint8)
    Image.fromarray(dark).save(rows["path"][0])
    found = make_testset(make_detector(gate=AgainstDark()), rows)
    assert found.table[REFUSED][0] == "The image is dark. It is blurred."
    assert (found.table[REFUSED][1:] == "").all()
    assert found.table["probability_covid19"].notna().all()
    assert (found.table["fault"] == "").all()


def test_a_negative_is_judged_as_a_positive(make_detector: Make, rows: pd.DataFrame) -> None:
    path = rows["path"][2]
    before = make_testset(make_detector(), rows).table
    bright = np.round(np.random.default_rng(0).uniform(0.75, 1.0, (80, 80)) * 255).astype(np.uint8)
    Image.fromarray(bright).save(path)
    found = make_testset(make_detector(KnownLungs(), AgainstDark()), rows)
    assert found.table[INVERTED].tolist() == [i == 2 for i in range(8)]
    margin = found.table["logit_covid19"][2] - found.table["logit_other"][2]
    assert margin == pytest.approx(16 * (1 - bright.mean() / 255 - 0.5), abs=0.05)
    others = np.arange(8) != 2
    np.testing.assert_allclose(found.table["logit_covid19"][others], before["logit_covid19"][others])


def test_the_unfamiliar_and_bad_lungs_are_told(make_detector: Make, rows: pd.DataFrame) -> None:
    faulty = KnownLungs(problems=("Only one lung was found.",))
    Path(rows["path"][1]).write_bytes(b"not an image")
    found = make_testset(make_detector(faulty, familiarity=FarWhereBright()), rows)
    assert found.lungs[1] is None
    assert found.table[LUNG_FAULTS][0] == "Only one lung was found."
    assert found.table[LUNG_FAULTS][1] == ""
    assert found.features is not None
    expected = (found.features.mean(axis=1) > 0.5).tolist()
    assert found.table[UNFAMILIAR].tolist() == expected


class SeesTheView:
    """Takes dark images for PA, bright ones for AP, and is unsure in between."""

    def guess_view(self, pixels: np.ndarray) -> ViewGuess:
        ap = float(pixels.mean())
        return ViewGuess(ap, View.AP if ap > 0.45 else View.PA if ap < 0.4 else None)


def test_guessed_views_stand_beside_stated_ones_and_are_kept(make_detector: Make, rows: pd.DataFrame) -> None:
    manifest = Manifest.of(rows, "views")
    detector = make_detector()
    plain = predict_manifest_images(detector, manifest)
    assert (plain.table["view_guess"] == "").all()
    detector.checker = ImageChecker(views_by=SeesTheView(), views_from="another 0123")  # type: ignore[arg-type]
    store = AnswerStore.in_memory()
    testset = predict_manifest_images(detector, manifest, store=store)
    ap, guess = testset.table["view_ap"], testset.table["view_guess"]
    assert set(guess) <= {"AP", "PA", ""}
    assert ((guess == "AP") == (ap > 0.45)).all()
    assert ((guess == "PA") == (ap < 0.4)).all()
    assert guess.nunique() > 1
    assert (testset.table["view"] == plain.table["view"]).all()
    detector.checker = ImageChecker(views_from="another 0123")
    again = predict_manifest_images(detector, manifest, store=store).table
    pd.testing.assert_frame_equal(again, testset.table)
    detector.checker = ImageChecker()
    assert "view_ap" not in predict_manifest_images(detector, manifest, store=store).table
