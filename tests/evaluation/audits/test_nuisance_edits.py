"""A change that has nothing to do with the disease, and how far it moves the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.audits.drawn import chests, judged_by
from lungsight.alterations.image import AuditedImage
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.nuisance_edits import SPEC, closer
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def nuisance_edits(package: Path, rows: pd.DataFrame) -> Audit:
    detector, testset = judged_by(package, rows)
    return SPEC.audit(AuditInput(testset, FEW, detector))


def test_a_model_of_mean_brightness_takes_a_white_border_for_the_disease(
    tmp_path: Path, make_package: Callable
) -> None:
    """A border of 2% adds about 0.04 of brightness: more than the disease, a tenth of a grey in a quarter of it."""
    rows = chests(tmp_path / "films", 140, lungs=lambda sick: 0.5 if sick else 0.4, around=lambda sick: 0.4)
    audit = nuisance_edits(make_package(rows), rows)
    assert audit.call is AuditResult.FOUND
    assert "white border" in audit.meaning
    assert audit.effect.low > 2 / 3


def test_the_same_border_is_nothing_beside_a_plain_disease(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.9 if sick else 0.1, around=lambda sick: 0.4)
    audit = nuisance_edits(make_package(rows), rows)
    table = frame(audit.rows).set_index("change")
    border = next(name for name in table.index if name.startswith("white border"))
    assert table.loc[border, "high"] < 0.4
    assert set(table["n"]) == {60}


def test_where_the_model_tells_nothing_it_is_not_asked(tmp_path: Path, make_package: Callable) -> None:
    rows = chests(tmp_path / "films", 60, lungs=lambda sick: 0.4, around=lambda sick: 0.4)
    audit = nuisance_edits(make_package(rows), rows)
    assert audit.call is AuditResult.NOT_DONE
    assert "hardly tells the two apart" in audit.meaning


def test_taken_closer_magnifies_about_the_centre() -> None:
    disc = np.hypot(*np.mgrid[-40:40, -40:40]) < 20
    seen = closer(AuditedImage(disc.astype(np.float32), None, 0))
    assert abs(seen.sum() / disc.sum() - 1.15**2) < 0.02
