"""The picture of an audit shows the typical image before and after, with what the model gave for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.audits.drawn import chests, judged_by
from lungsight.evaluation.audits import occlusion
from lungsight.evaluation.audits.audit import AuditInput, AuditSpec
from lungsight.evaluation.audits.illustration import SIDE
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.testset.testset import EXTERNAL, KIND
from lungsight.statistics.bootstrap import Resampling


@pytest.fixture
def given(tmp_path: Path, make_package: Callable) -> AuditInput:
    """A model that reads the lungs, and an image of each brightness."""
    grey = iter(np.linspace(0.1, 0.8, 24))
    rows = chests(tmp_path / "films", 24, lungs=lambda sick: float(next(grey)), around=lambda sick: 0.5)
    detector, testset = judged_by(make_package(rows), rows)
    return AuditInput(testset, Resampling(replicates=20), detector)


@pytest.mark.parametrize("spec", [audit for audit in AUDITS if audit.illustrated], ids=lambda spec: spec.name)
def test_the_image_shown_is_the_one_of_the_median_change(given: AuditInput, spec: AuditSpec) -> None:
    drawn = list(spec._illustrations(given))
    assert len(drawn) == len(spec.illustrated)
    assert spec.perturbations is not None
    shown, answers = given.perturbed(spec.perturbations)
    for one, wanted in zip(drawn, spec.illustrated, strict=True):
        side = shown.positive == wanted.positive
        change = (answers[wanted.alteration][:, given.target] - shown.score)[side]
        assert one.images == side.sum()
        assert one.after - one.before == pytest.approx(np.quantile(change, 0.5, method="lower"))
        assert one.image.shape == one.altered.shape
        assert max(one.image.shape) <= SIDE
        assert one.image.dtype == one.altered.dtype == np.uint8


def test_what_is_hidden_is_not_in_the_picture(given: AuditInput) -> None:
    (hidden,) = occlusion.LUNGS_HIDDEN._illustrations(given)
    middle = tuple(side // 2 for side in hidden.image.shape)
    border, lungs = slice(0, 3), (middle[0], middle[1] // 2)
    assert (hidden.image[border] == hidden.altered[border]).all()
    assert hidden.image[lungs] != hidden.altered[lungs]


def test_images_of_sources_it_never_saw_come_first(given: AuditInput) -> None:
    kinds = np.where(np.arange(len(given.testset)) % 4 < 2, "internal", EXTERNAL)
    given = AuditInput(given.testset.with_columns(**{KIND: kinds}), given.resampling, given.detector)
    (hidden,) = occlusion.LUNGS_HIDDEN._illustrations(given)
    assert hidden.images == (given.testset.of_kind(EXTERNAL) & given.testset.positive).sum()


def test_a_file_that_is_gone_has_no_picture(given: AuditInput) -> None:
    given.perturbed(occlusion.PERTURBATIONS)
    for path in given.testset.table["path"]:
        Path(path).unlink()
    assert not list(occlusion.LUNGS_HIDDEN._illustrations(given))
