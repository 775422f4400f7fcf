"""With the lungs hidden, what came from them is gone and what came from elsewhere is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.audits.drawn import LUNGS, SIDE, KnownLungs, chests, judged_by
from lungsight.alterations.image import AuditedImage
from lungsight.alterations.occlusions import black_lungs, filled_lungs, only_border, only_lungs
from lungsight.components.preprocessing import Region
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.occlusion import (
    FOUND_ABOVE,
    HIDDEN_FILLED,
    LUNGS_HIDDEN,
    NOT_FOUND_BELOW,
    ONLY_BORDER,
    ONLY_LUNGS,
    PROBE,
)
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Detector
from lungsight.inference.preparation import ImageChecker
from lungsight.package import Preprocessing
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def occlusion_audits(detector: Detector, testset: TestSet, store: AnswerStore | None = None) -> list[Audit]:
    given = AuditInput(testset, FEW, detector, store=store or AnswerStore.in_memory())
    return [spec.audit(given) for spec in (LUNGS_HIDDEN, ONLY_BORDER, ONLY_LUNGS)]


def audited(
    rows: pd.DataFrame, make_package: Callable[[pd.DataFrame], Path], store: AnswerStore | None = None
) -> dict[str, Audit]:
    return {audit.name: audit for audit in occlusion_audits(*judged_by(make_package(rows), rows), store)}


@pytest.mark.parametrize(("count", "result"), [(200, AuditResult.NOT_FOUND), (60, AuditResult.NOT_SHOWN)])
def test_a_disease_in_the_lungs_is_no_shortcut_where_there_are_images_enough(
    tmp_path: Path, make_package: Callable, count: int, result: AuditResult
) -> None:
    rows = chests(tmp_path / "films", count, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    audits = audited(rows, make_package)
    for name in ("lungs hidden", "only the border"):
        assert audits[name].call is result
        assert audits[name].effect.n == count
        assert audits[name].effect.value < NOT_FOUND_BELOW
    table = frame(audits["lungs hidden"].rows).set_index(["picture", "metric"])
    assert table.loc[("as it is", "auroc_within"), "value"] > 0.95
    reached = table.loc[(HIDDEN_FILLED, PROBE)]
    assert reached["low"] < 0.55
    assert reached["n"] == count
    assert audits["only the lungs"].effect.value > 0.8
    assert audits["only the lungs"].call is AuditResult.REPORTED


def test_a_shortcut_around_the_lungs_is_found(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows, make_package)
    assert audits["lungs hidden"].call is AuditResult.FOUND
    assert audits["lungs hidden"].effect.low > FOUND_ABOVE
    assert "doesn't come from the lungs" in audits["lungs hidden"].meaning
    table = frame(audits["lungs hidden"].rows).set_index(["picture", "metric"])
    assert table.loc[(HIDDEN_FILLED, PROBE), "low"] > 0.8
    assert "A probe fitted on the network's features of these images reaches" in audits["lungs hidden"].meaning
    assert audits["only the border"].call is AuditResult.FOUND


def test_sources_of_one_class_each_cannot_be_asked(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    apart = rows.assign(source=np.where(rows["label"] == "covid19", "north", "south"))
    for audit in audited(apart, make_package).values():
        assert audit.call is AuditResult.NOT_DONE
        assert audit.meaning == "It can't be asked of these data: every source holds one class."


def test_images_of_sources_of_one_class_are_not_altered(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    more = chests(tmp_path / "more", 60, lungs=lambda sick: 0.3, around=lambda sick: 0.2, source="south")
    rows = pd.concat([rows, more[more["label"] != "covid19"]], ignore_index=True)
    audit = audited(rows, make_package)["lungs hidden"]
    assert audit.effect.n == 60
    assert {row.estimate.n for row in audit.rows} == {60}


def test_without_masks_the_border_can_still_be_asked(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows.assign(lung_mask=""), make_package)
    assert audits["lungs hidden"].call is AuditResult.NOT_DONE
    assert "no image here has a lung mask, and no network found its lungs" in audits["lungs hidden"].meaning
    assert audits["only the border"].call is AuditResult.FOUND


@pytest.mark.parametrize("sick", [3, 0])
def test_too_few_of_one_side_is_said(tmp_path: Path, make_package: Callable, sick: int) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.5)
    few = pd.concat([rows[rows["label"] != "covid19"], rows[rows["label"] == "covid19"].head(sick)])
    audits = audited(few, make_package)
    assert audits["lungs hidden"].call is AuditResult.NOT_DONE
    reason = f"{sick} patients on the positive side, and 10 are needed" if sick else "every source holds one class"
    assert reason in audits["lungs hidden"].meaning


def test_an_audit_that_was_cut_off_goes_on_with_the_same_figures(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.5 if sick else 0.4, around=lambda sick: 0.5)
    whole = audited(rows, make_package)["lungs hidden"]
    with AnswerStore.open(tmp_path / "a.sqlite") as store:
        audited(rows, make_package, store)
        gone = store.database.execute(
            "DELETE FROM answers WHERE key LIKE '%altered%a7%' OR key LIKE '%image%_3.png%'"
        )
        assert 0 < gone.rowcount < 200
        again = audited(rows, make_package, store)["lungs hidden"]
    pd.testing.assert_frame_equal(frame(again.rows), frame(whole.rows))


def test_each_alteration_hides_what_it_says() -> None:
    pixels = np.where(LUNGS, 0.9, 0.2).astype(np.float32)
    exam = AuditedImage(pixels, LUNGS, 0)
    assert black_lungs(exam)[LUNGS].max() == 0
    assert filled_lungs(exam).max() == pytest.approx(0.2, abs=1e-3)
    between = np.s_[30:50, 37:43]
    assert black_lungs(exam)[between].max() == 0
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


def judged_with(
    lungs: KnownLungs, package: Path, rows: pd.DataFrame, preprocessing: Preprocessing | None = None
) -> tuple[Detector, TestSet]:
    """By a package whose lung segmentation finds these lungs."""
    return judged_by(package, rows, checker=ImageChecker(lungs), preprocessing=preprocessing)  # type: ignore[arg-type]


def test_lungs_that_a_network_found_are_hidden_where_there_is_no_mask(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    package = make_package(rows)
    with_masks = occlusion_audits(*judged_by(package, rows))
    found = occlusion_audits(*judged_with(KnownLungs(), package, rows.assign(lung_mask="")))
    for one, other in zip(with_masks, found, strict=True):
        np.testing.assert_allclose(frame(one.rows)["value"], frame(other.rows)["value"], atol=0.02)
    assert "Lung segmentation of 60 images: 60 from the manifest's masks." in with_masks[0].meaning
    assert "Lung segmentation of 60 images: 60 found by a network." in found[0].meaning


def test_bad_lungs_are_not_hidden_and_counted(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    rows.loc[:49, "lung_mask"] = ""
    one_lung = KnownLungs(implausible=20)
    hidden, border, _ = occlusion_audits(*judged_with(one_lung, make_package(rows), rows))
    assert hidden.effect.n == 40
    assert border.effect.n == 60
    assert "10 from the manifest's masks, 30 found by a network, 20 without." in hidden.meaning


def test_a_network_that_sees_the_lungs_box_sees_the_altered_image_in_the_same_box(
    tmp_path: Path, make_package: Callable
) -> None:
    """The disease is told by what lies just around the lungs, inside the box; hiding the lungs must not move it."""
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    preprocessing = Preprocessing(image_size=32, geometry="lungs", margin=0.2)
    package = make_package(rows)
    judged = judged_with(KnownLungs(), package, rows.assign(lung_mask=""), preprocessing)
    hidden, border, alone = occlusion_audits(*judged)
    assert hidden.call is border.call is AuditResult.FOUND
    assert alone.effect.value < 1 / 2
    assert "in the box around the lungs of the unaltered one." in hidden.meaning


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
