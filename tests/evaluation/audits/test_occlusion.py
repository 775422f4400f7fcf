"""With the lungs hidden, what came from them is gone and what came from elsewhere is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.audits.drawn import LUNGS, SIDE, chests, judged_by
from lungsight.evaluation.audits.audit import Audit, Call
from lungsight.evaluation.audits.interventions import Exam
from lungsight.evaluation.audits.occlusion import black_lungs, filled_lungs, occlusion_audits, only_border, only_lungs
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def audited(rows: pd.DataFrame, make_package: Callable[[pd.DataFrame], Path], **settings: object) -> dict[str, Audit]:
    detector, judged = judged_by(make_package(rows), rows)
    return {audit.name: audit for audit in occlusion_audits(detector, judged, resampling=FEW, **settings)}


def test_a_disease_in_the_lungs_is_clear(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.6 if sick else 0.3, around=lambda sick: 0.5)
    audits = audited(rows, make_package)
    assert audits["lungs hidden"].call is Call.CLEAR
    assert audits["only the border"].call is Call.CLEAR
    assert audits["lungs hidden"].effect.n == 60
    table = audits["lungs hidden"].table.set_index("picture")
    assert table.loc["as it is", "value"] > 0.95
    assert audits["only the lungs"].effect.value > 0.95
    assert audits["only the lungs"].call is Call.REPORTED


def test_a_shortcut_around_the_lungs_is_called(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows, make_package)
    for name in ("lungs hidden", "only the border"):
        assert audits[name].call is Call.SHORTCUT
        assert audits[name].effect.low > 0.85
    assert "doesn't come from the lungs" in audits["lungs hidden"].meaning


def test_without_masks_the_border_can_still_be_asked(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    audits = audited(rows.assign(lung_mask=""), make_package)
    assert audits["lungs hidden"].call is Call.NOT_DONE
    assert audits["lungs hidden"].meaning == "No image here has a mask of its lung fields."
    assert audits["only the border"].call is Call.SHORTCUT


@pytest.mark.parametrize("sick", [3, 0])
def test_too_few_of_one_side_is_said(tmp_path: Path, make_package: Callable, sick: int) -> None:
    rows = chests(tmp_path / "films", 40, lungs=lambda sick: 0.4, around=lambda sick: 0.5)
    few = pd.concat([rows[rows["label"] != "covid19"], rows[rows["label"] == "covid19"].head(sick)])
    audits = audited(few, make_package)
    assert audits["lungs hidden"].call is Call.NOT_DONE
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
    exam = Exam(pixels, LUNGS, 0)
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
    assert only_border(Exam(np.full((SIDE, SIDE), 0.5, np.float32), wide, 0))[30, 0] == 0
