"""With the lungs hidden, what came from them is gone and what came from elsewhere is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.audits.drawn import LUNGS, SIDE, chests, judged_by
from lungsight.components.lungs import Box, Lungs
from lungsight.components.preprocessing import Region
from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.audits.occlusion import black_lungs, filled_lungs, occlusion_audits, only_border, only_lungs
from lungsight.evaluation.audits.perturbed_predictions import AuditedImage
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import Preprocessing
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def audited(rows: pd.DataFrame, make_package: Callable[[pd.DataFrame], Path], **settings: object) -> dict[str, Audit]:
    detector, testset = judged_by(make_package(rows), rows)
    return {audit.name: audit for audit in occlusion_audits(detector, testset, resampling=FEW, **settings)}


def test_a_disease_in_the_lungs_is_clear(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    audits = audited(rows, make_package)
    assert audits["lungs hidden"].call is AuditResult.CLEAR
    assert audits["only the border"].call is AuditResult.CLEAR
    assert audits["lungs hidden"].effect.n == 60
    table = audits["lungs hidden"].table.set_index("picture")
    assert table.loc["as it is", "value"] > 0.95
    assert audits["only the lungs"].effect.value > 0.95
    assert audits["only the lungs"].call is AuditResult.REPORTED


def test_a_shortcut_around_the_lungs_is_called(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows, make_package)
    for name in ("lungs hidden", "only the border"):
        assert audits[name].call is AuditResult.SHORTCUT
        assert audits[name].effect.low > 0.85
    assert "doesn't come from the lungs" in audits["lungs hidden"].meaning


def test_without_masks_the_border_can_still_be_asked(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows.assign(lung_mask=""), make_package)
    assert audits["lungs hidden"].call is AuditResult.NOT_DONE
    assert audits["lungs hidden"].meaning == (
        "No image here has a mask of its lung fields, and none were found by a network."
    )
    assert audits["only the border"].call is AuditResult.SHORTCUT


@pytest.mark.parametrize("sick", [3, 0])
def test_too_few_of_one_side_is_said(tmp_path: Path, make_package: Callable, sick: int) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.5)
    few = pd.concat([rows[rows["label"] != "covid19"], rows[rows["label"] == "covid19"].head(sick)])
    audits = audited(few, make_package)
    assert audits["lungs hidden"].call is AuditResult.NOT_DONE
    assert f"{sick} positive patients, and 10 are needed" in audits["lungs hidden"].meaning


def test_an_audit_that_was_cut_off_goes_on_with_the_same_figures(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.5 if sick else 0.4, around=lambda sick: 0.5)
    whole = audited(rows, make_package)["lungs hidden"]
    cache = tmp_path / "audits.jsonl"
    audited(rows, make_package, cache=cache)
    lines = cache.read_text().splitlines()
    cache.write_text("\n".join([*lines[:50], lines[50][:20]]))
    again = audited(rows, make_package, cache=cache)["lungs hidden"]
    pd.testing.assert_frame_equal(again.table, whole.table)


def test_each_alteration_hides_what_it_says() -> None:
    pixels = np.where(LUNGS, 0.9, 0.2).astype(np.float32)
    exam = AuditedImage(pixels, LUNGS, 0)
    assert black_lungs(exam)[LUNGS].max() == 0
    assert filled_lungs(exam).max() == pytest.approx(0.2, abs=1e-3)
    lungs = only_lungs(exam)
    assert lungs[~LUNGS].max() == 0
    assert lungs[LUNGS].min() == pytest.approx(0.9)
    border = only_border(exam)
    assert border[8:-8, 8:-8].max() == 0
    assert border[0].min() == pytest.approx(0.2)


def test_the_border_keeps_no_lung_that_reaches_into_it() -> None:
    wide = np.zeros((SIDE, SIDE), dtype=bool)
    wide[20:60, :36] = True
    assert only_border(AuditedImage(np.full((SIDE, SIDE), 0.5, np.float32), wide, 0))[30, 0] == 0


def found_on(testset: TestSet, mask: np.ndarray = LUNGS, crop: Box | None = None, bad: int = 0) -> TestSet:
    """The images with the lungs that a network found; the first ``bad`` of them implausible."""
    good, faulty = LungMask.of(Lungs(mask), crop), LungMask.of(Lungs(mask, ("Only one lung was found.",)), crop)
    return replace(testset, lungs=(faulty,) * bad + (good,) * (len(testset) - bad))


def test_lungs_that_a_network_found_are_hidden_where_there_is_no_mask(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    package = make_package(rows)
    with_masks = occlusion_audits(*judged_by(package, rows), resampling=FEW)
    detector, testset = judged_by(package, rows.assign(lung_mask=""))
    found = occlusion_audits(detector, found_on(testset), resampling=FEW)
    for one, other in zip(with_masks, found, strict=True):
        np.testing.assert_allclose(one.table["value"], other.table["value"], atol=0.02)
    assert "Lung fields of 60 images: 60 from the manifest's masks." in with_masks[0].meaning
    assert "Lung fields of 60 images: 60 found by a network." in found[0].meaning


def test_bad_lungs_are_not_hidden_and_counted(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    rows.loc[:49, "lung_mask"] = ""
    detector, testset = judged_by(make_package(rows), rows)
    hidden, border, _ = occlusion_audits(detector, found_on(testset, bad=20), resampling=FEW)
    assert hidden.effect.n == 40
    assert border.effect.n == 60
    assert "10 from the manifest's masks, 30 found by a network, 20 without." in hidden.meaning


def test_a_network_that_sees_the_lungs_box_sees_the_altered_image_in_the_same_box(
    tmp_path: Path, make_package: Callable
) -> None:
    """The disease is told by what lies just around the lungs, inside the box; hiding the lungs must not move it."""
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    detector, testset = judged_by(make_package(rows), rows.assign(lung_mask=""))
    crop = Lungs(LUNGS).box
    preprocessing = Preprocessing(image_size=32, geometry="lungs", margin=0.2)
    detector.description = detector.description.model_copy(update={"preprocessing": preprocessing})
    hidden, border, alone = occlusion_audits(detector, found_on(testset, crop=crop), resampling=FEW)
    assert hidden.call is border.call is AuditResult.SHORTCUT
    assert alone.effect.value < 0.8
    assert hidden.meaning.endswith("in the box around the lungs of the unaltered one.")


def test_the_border_of_a_box_is_the_boxes_own() -> None:
    pixels = np.full((SIDE, SIDE), 0.5, np.float32)
    exam = AuditedImage(pixels, LUNGS, 0, Region(10, 16, 70, 64))
    border = only_border(exam)
    assert border[16:64, 10:70].max() == 0.5  # something is left of what the network sees
    assert border[21:59, 16:64].max() == 0
    assert border[_near(LUNGS)].max() == 0


def _near(lungs: np.ndarray) -> np.ndarray:
    """A pixel around the lungs, too."""
    grown = lungs.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        grown |= np.roll(lungs, step, axis)
    return grown
