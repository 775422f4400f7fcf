"""What stands beside the detector is asked as scanning asks it, once, and kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.audits.drawn import LUNGS, chests
from lungsight.components.input_gate import GateResult
from lungsight.components.lungs import Box, Lungs
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.testset.companions import Companions
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import INVERTED, LUNG_FAULTS, REFUSED, UNFAMILIAR, TestSet
from lungsight.inference import Detector
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, Preprocessing


@dataclass
class KnownLungs:
    """Finds the lungs where they were drawn; counts how often it is asked."""

    mask: np.ndarray = field(default_factory=lambda: LUNGS)
    problems: tuple[str, ...] = ()
    asked: list[np.ndarray] = field(default_factory=list)

    def find(self, pixels: np.ndarray) -> Lungs:
        self.asked.append(pixels)
        return Lungs(self.mask, self.problems)


class AgainstDark:
    """Refuses what is dark, and takes what is very bright for a negative."""

    def ask(self, pixels: np.ndarray) -> GateResult:
        mean = float(pixels.mean())
        refusals = ("The image is dark.", "It is blurred.") if mean < 0.35 else ()
        return GateResult(refusals, (), 0.9, inverted=mean > 0.8)


class FarWhereBright:
    def is_far(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features.mean(axis=1) > 0.5)


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    return chests(tmp_path / "films", 8, lungs=lambda sick: 0.7 if sick else 0.3, around=lambda _: 0.4)


@pytest.fixture
def detector(make_package, rows: pd.DataFrame) -> Detector:
    return Detector.load(ModelPackage.open(make_package(rows)), 1, features=True)


def cropping(detector: Detector) -> Detector:
    """The same network, shown the box around the lungs only."""
    preprocessing = Preprocessing(image_size=32, geometry="lungs", margin=0.0)
    detector.description = detector.description.model_copy(update={"preprocessing": preprocessing})
    return detector


def make_testset(
    detector: Detector, rows: pd.DataFrame, companions: Companions, cache: Path | None = None
) -> TestSet:
    manifest = Manifest.of(rows.assign(split=""), "chests")
    return predict_manifest_images(detector, manifest, companions=companions, cache=cache)


def test_a_package_without_companions_is_judged_as_ever(detector: Detector, rows: pd.DataFrame) -> None:
    found = make_testset(detector, rows, Companions.of(detector.package))
    assert found.lungs == ()
    assert not {REFUSED, INVERTED, UNFAMILIAR, LUNG_FAULTS} & set(found.table.columns)
    assert found.crop_of(0) is None


def test_lungs_are_found_once_kept_and_used_for_the_crop(
    detector: Detector, rows: pd.DataFrame, tmp_path: Path
) -> None:
    fields = KnownLungs()
    own = Companions(ImageChecker(fields), crops=True)  # type: ignore[arg-type]
    first = make_testset(cropping(detector), rows, own, tmp_path / "kept.jsonl")
    assert len(fields.asked) == 8
    assert first.crop_of(3) == Box(14 / 80, 20 / 80, 66 / 80, 60 / 80)
    seen = [np.asarray(Image.open(path), dtype=float)[20:60, 14:66].mean() / 255 for path in rows["path"]]
    margins = (first.table["logit_covid19"] - first.table["logit_other"]).to_numpy()
    np.testing.assert_allclose(margins, 16 * (np.array(seen) - 0.5), atol=0.05)
    again = make_testset(cropping(detector), rows, own, tmp_path / "kept.jsonl")
    assert len(fields.asked) == 8
    pd.testing.assert_frame_equal(again.table, first.table)
    assert [lungs.digest for lungs in again.lungs] == [lungs.digest for lungs in first.lungs]
    other = replace(own, borrowed="another network")
    make_testset(cropping(detector), rows, other, tmp_path / "kept.jsonl")
    assert len(fields.asked) == 16


def test_borrowed_lungs_are_for_the_audits_and_never_crop(detector: Detector, rows: pd.DataFrame) -> None:
    whole = KnownLungs(np.ones_like(LUNGS))
    theirs = Companions(for_audits=whole, borrowed="theirs")  # type: ignore[arg-type]
    found = make_testset(detector, rows, theirs)
    assert found.lungs[0].mask.all()
    assert found.crop_of(0) is None
    pd.testing.assert_series_equal(
        found.table["logit_covid19"], make_testset(detector, rows, Companions()).table["logit_covid19"]
    )
    both = Companions(ImageChecker(KnownLungs()), crops=True, for_audits=whole)  # type: ignore[arg-type]
    mixed = make_testset(cropping(detector), rows, both)
    assert mixed.lungs[0].mask.all()
    assert mixed.crop_of(0) == Box(14 / 80, 20 / 80, 66 / 80, 60 / 80)


def test_what_the_gate_refuses_is_judged_all_the_same(detector: Detector, rows: pd.DataFrame) -> None:
    dark = np.round(np.random.default_rng(0).uniform(0.0, 0.4, (80, 80)) * 255).astype(np.uint8)
    Image.fromarray(dark).save(rows["path"][0])
    found = make_testset(detector, rows, Companions(ImageChecker(gate=AgainstDark())))  # type: ignore[arg-type]
    assert found.table[REFUSED][0] == "The image is dark. It is blurred."
    assert (found.table[REFUSED][1:] == "").all()
    assert found.table["probability_covid19"].notna().all()
    assert (found.table["fault"] == "").all()


def test_a_negative_is_judged_as_a_positive(detector: Detector, rows: pd.DataFrame) -> None:
    path = rows["path"][2]
    before = make_testset(detector, rows, Companions()).table
    bright = np.round(np.random.default_rng(0).uniform(0.75, 1.0, (80, 80)) * 255).astype(np.uint8)
    Image.fromarray(bright).save(path)
    found = make_testset(detector, rows, Companions(ImageChecker(KnownLungs(), AgainstDark())))  # type: ignore[arg-type]
    assert found.table[INVERTED].tolist() == [i == 2 for i in range(8)]
    assert found.was_inverted(2)
    margin = found.table["logit_covid19"][2] - found.table["logit_other"][2]
    assert margin == pytest.approx(16 * (1 - bright.mean() / 255 - 0.5), abs=0.05)
    others = np.arange(8) != 2
    np.testing.assert_allclose(found.table["logit_covid19"][others], before["logit_covid19"][others])


def test_the_unfamiliar_and_bad_lungs_are_told(detector: Detector, rows: pd.DataFrame) -> None:
    faulty = KnownLungs(problems=("Only one lung was found.",))
    beside = Companions(ImageChecker(faulty), FarWhereBright())  # type: ignore[arg-type]
    Path(rows["path"][1]).write_bytes(b"not an image")
    found = make_testset(detector, rows, beside)
    assert found.lungs[1] is None
    assert found.table[LUNG_FAULTS][0] == "Only one lung was found."
    assert found.table[LUNG_FAULTS][1] == ""
    assert found.features is not None
    expected = (found.features.mean(axis=1) > 0.5).tolist()
    assert found.table[UNFAMILIAR].tolist() == expected
