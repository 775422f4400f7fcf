"""What somebody could do to a test so that it looks better than the model is. None of it buys anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.audits.drawn import chests, judged_by
from evaluation.audits.test_source_identity import a_test, as_trained
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.audits import source_identity
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.grade import Grade, GradeStatement, Shortcut, decide
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import TRUTH

FEW = Resampling(replicates=200)
LOOKING = tuple(audit for audit in AUDITS if audit.calls_shortcut)
HOLDS = (Grade.HOLDS_AT_ONE, Grade.HOLDS_AT_SEVERAL)


def audited(folder: Path, make_package: Callable, images: int, hidden: float = 0.0) -> list[Audit]:
    """The audits that look for a shortcut, of a model of mean brightness: the disease is bright lungs, and ``hidden``
    how much brighter the rest of the image is with it."""
    rows = chests(
        folder, 240, lungs=lambda sick: 0.7 if sick else 0.3, around=lambda sick: 0.3 + (hidden if sick else 0.0)
    )
    detector, testset = judged_by(make_package(rows), rows)
    given = AuditInput(testset, FEW, detector, images=images, illustrate=False)
    return [audit.audit(given) for audit in LOOKING]


def graded(testset: TestSet, audits: list[Audit]) -> GradeStatement:
    return decide(testset, audits, FEW)


def test_few_audit_images_do_not_buy_that_nothing_was_found(tmp_path: Path, make_package: Callable) -> None:
    many = {audit.name: audit.call for audit in audited(tmp_path / "a", make_package, 400)}
    assert many["lungs hidden"] is many["only the border"] is AuditResult.NOT_FOUND
    few = {audit.name: audit.call for audit in audited(tmp_path / "a", make_package, 40)}
    for name in ("lungs hidden", "only the border", "irrelevant changes"):
        assert few[name] is AuditResult.NOT_SHOWN


def test_what_is_in_between_does_not_count_as_not_found(tmp_path: Path, make_package: Callable) -> None:
    """Some of the lead over chance is left with the lungs hidden, neither half nor less than a third."""
    audits = audited(tmp_path / "a", make_package, 400, hidden=0.022)
    hidden = next(audit for audit in audits if audit.name == "lungs hidden")
    assert hidden.effect is not None
    assert hidden.effect.high > 1 / 3
    assert hidden.effect.low < 1 / 2
    assert hidden.call is AuditResult.NOT_SHOWN


def test_all_negatives_from_one_source_buy_nothing(tmp_path: Path, make_package: Callable) -> None:
    """The shortcut is the source; no comparison within a source can be asked."""
    rows = chests(tmp_path / "a", 240, lungs=lambda sick: 0.4, around=lambda sick: 0.6 if sick else 0.3)
    rows["source"] = np.where(rows["label"] == "covid19", "clinic", "school")
    detector, testset = judged_by(make_package(rows), rows, EXTERNAL)
    given = AuditInput(testset, FEW, detector, illustrate=False)
    audits = [audit.audit(given) for audit in LOOKING]
    assert {audit.call for audit in audits} == {AuditResult.NOT_DONE}
    assert all("every source holds one class" in audit.meaning for audit in audits)
    assert graded(testset, audits).grade not in HOLDS
    assert graded(testset, audits).shortcut is Shortcut.NOT_LOOKED_FOR


def predicted(phantoms: Manifest, names: np.ndarray, kinds: np.ndarray) -> TestSet:
    """The phantoms under other names of sources, with the scores of a good model."""
    testset = a_test(phantoms, names, kinds)
    truth = np.where(np.arange(len(testset)) // 2 % 2, "covid19", "no_pneumonia")  # the score is made up as well
    score = np.random.default_rng(0).normal(0.3 + 0.4 * (truth == "covid19"), 0.1).clip(0, 1)
    return testset.with_columns(**{TRUTH: truth}, probability_covid19=score)


def named_again(testset: TestSet, trained: Manifest) -> GradeStatement:
    given = AuditInput(testset, FEW, trained=as_trained(trained))
    return graded(testset, [source_identity.SPEC.audit(given)])


@pytest.mark.parametrize("kept", [0, 28])
def test_another_name_for_a_source_of_the_training_buys_no_external_source(phantoms: Manifest, kept: int) -> None:
    """Whether or not the test keeps internal images under the old name."""
    one = min(phantoms.table["source"])
    of_one = phantoms.where((phantoms.table["source"] == one).to_numpy())
    trained, tested = of_one.where(np.arange(120) < 30), of_one.where(np.arange(120) >= 30)
    names = np.where(np.arange(90) < kept, one, "hospital A")
    kinds = np.where(names == one, INTERNAL, EXTERNAL)
    believed = graded(predicted(tested, names, kinds), [])
    if not kept:
        assert believed.grade is Grade.HOLDS_AT_ONE
    found = named_again(predicted(tested, names, kinds), trained)
    assert found.grade not in HOLDS


def test_one_hospital_under_two_names_is_one_more_source_and_not_two(phantoms: Manifest) -> None:
    one = min(phantoms.table["source"])
    is_one = (phantoms.table["source"] == one).to_numpy()
    trained, tested = phantoms.where(is_one), phantoms.where(~is_one)
    names = np.where(np.arange(len(tested)) % 2, "hospital A", "hospital B")
    testset = predicted(tested, names, np.full(len(tested), EXTERNAL))
    assert graded(testset, []).grade is Grade.HOLDS_AT_SEVERAL
    assert named_again(testset, trained).grade is Grade.HOLDS_AT_ONE
