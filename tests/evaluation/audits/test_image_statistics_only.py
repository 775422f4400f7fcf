"""A forest that sees nothing but an image's header, beside the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.image_statistics_only import SPEC, statistics_score
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import EXTERNAL, KIND, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, TRUTH

FEW = Resampling(replicates=200)


def image_statistics_only(testset: TestSet) -> Audit:
    return SPEC.audit(AuditInput(testset, FEW))


def a_test(count: int, header: float, model: float, sources: int = 1, seed: int = 0) -> TestSet:
    """``header`` and ``model`` say by how many standard deviations a feature, and the score, part the classes."""
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < 0.5
    headers = pd.DataFrame(
        rng.normal(size=(count, len(ImageStatistics._fields))), columns=list(ImageStatistics._fields)
    )
    headers["edge_mean"] += header * positive
    score = 1 / (1 + np.exp(-(rng.normal(size=count) + model * positive)))
    table = pd.DataFrame(
        {
            TRUTH: np.where(positive, "covid19", "other"),
            "source": [f"s{i % sources}" for i in range(count)],
            "patient": [f"p{i}" for i in range(count)],
            "probability_covid19": score,
            "probability_other": 1 - score,
            FAULT: "",
            KIND: EXTERNAL,
        }
    )
    return TestSet(table, ("covid19", "other"), "covid19", headers)


def test_a_header_that_tells_as_much_as_the_model_is_a_shortcut() -> None:
    audit = image_statistics_only(a_test(300, header=2.5, model=1.5))
    assert audit.call is AuditResult.FOUND
    assert audit.effect.low > 0.8
    assert "without looking at the lungs" in audit.meaning


def test_a_model_that_clearly_tells_more_is_clear() -> None:
    audit = image_statistics_only(a_test(400, header=1.2, model=4))
    assert audit.effect.low > 0.6
    assert audit.call is AuditResult.NOT_FOUND
    assert "clearly" in audit.meaning


def test_a_header_that_tells_nothing_is_clear_however_weak_the_model() -> None:
    called = [image_statistics_only(a_test(200, 0, 0.3, seed=s)).call for s in range(5)]
    assert called == [AuditResult.NOT_FOUND] * 5


def test_sources_of_one_label_each_give_no_call() -> None:
    """Over the sources together the header tells all; within one there is nothing to tell."""
    testset = a_test(200, header=4, model=4, sources=2)
    table = testset.table.assign(source=np.where(testset.positive, "a", "b"))
    audit = image_statistics_only(TestSet(table, testset.classes, testset.target, testset.headers))
    assert audit.call is AuditResult.NOT_DONE
    assert audit.meaning == "It can't be asked of these data: every source holds one class."


def test_few_patients_on_a_side_are_not_asked() -> None:
    """What a forest finds in 26 against 18 patients says little, and neither does it where it finds nothing."""
    audit = image_statistics_only(a_test(50, header=3, model=1))
    assert audit.call is AuditResult.NOT_DONE
    assert "and 30 are needed" in audit.meaning


def test_few_images_do_not_show_that_the_header_tells_nothing() -> None:
    assert image_statistics_only(a_test(199, 0, 3)).call is AuditResult.NOT_SHOWN
    assert image_statistics_only(a_test(200, 0, 3)).call is AuditResult.NOT_FOUND


def test_sources_are_counted_together_where_each_has_too_few_images() -> None:
    audit = image_statistics_only(a_test(360, 0, 3, sources=2))
    assert audit.call is AuditResult.NOT_FOUND
    assert {row.estimate.n for row in audit.rows} == {180, 360}


def test_unreadable_images_are_left_out() -> None:
    testset = a_test(200, header=0, model=2)
    testset.headers.loc[:49] = np.nan
    assert image_statistics_only(testset).images == 150


def test_the_forest_never_sees_the_patient_it_scores() -> None:
    """Labels without rhyme, but each patient's images alike: only a forest that met the patient could tell."""
    rng = np.random.default_rng(3)
    positive = np.repeat(rng.random(80) < 0.5, 3)
    patient = np.repeat(np.arange(80), 3)
    features = np.repeat(rng.normal(size=(80, 4)), 3, axis=0) + rng.normal(0, 1e-3, (240, 4))
    score = statistics_score(pd.DataFrame(features), positive, patient)
    above = (score[positive][:, None] > score[~positive]).mean()
    assert above == pytest.approx(0.5, abs=0.15)
