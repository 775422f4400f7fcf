"""The view alone, and the model among one view, where both are known beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.within_sources import WITHIN_EACH
from lungsight.evaluation.audits.within_view import ALL_VIEWS, OF_ONE_VIEW, OF_VIEW, SPEC, WITHIN_VIEW
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, VIEW_GUESS, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import FAULT, TRUTH


def a_test(
    n: int, *, bedside: float, disease: float, views: tuple[str, str] = ("AP", "PA"), seed: int = 0
) -> TestSet:
    """Positives are X-rayed in bed with probability 0.9, negatives with 0.2; the score follows bed and disease by so
    many standard deviations. Two sources, one of either kind."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.5
    bed = rng.random(n) < np.where(positive, 0.9, 0.2)
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + bedside * bed + disease * positive)))
    table = pd.DataFrame(
        {
            TRUTH: np.where(positive, "covid19", "other"),
            "source": np.where(np.arange(n) % 2, "home", "away"),
            KIND: np.where(np.arange(n) % 2, INTERNAL, EXTERNAL),
            "patient": [f"p{i}" for i in range(n)],
            "view": np.where(bed, *views),
            "probability_covid19": score,
            "probability_other": 1 - score,
            FAULT: "",
        }
    )
    return TestSet(table, ("covid19", "other"), "covid19", pd.DataFrame(index=table.index))


def asked(testset: TestSet) -> Audit:
    return SPEC.audit(AuditInput(testset, Resampling(replicates=200)))


def figure(audit: Audit, metric: str, source: str = "away", view: str = ALL_VIEWS) -> Estimate:
    (found,) = (
        row.estimate
        for row in audit.rows
        if row.estimate.name == metric and row.labels["source"] == source and row.labels["view"] == view
    )
    return found


def test_a_model_of_the_bed_tells_nothing_among_one_view() -> None:
    audit = asked(a_test(800, bedside=3, disease=0))
    assert audit.call is AuditResult.REPORTED
    for source in ("home", "away"):
        assert figure(audit, OF_VIEW, source).low > 0.75
        within = figure(audit, WITHIN_VIEW, source)
        assert within.low < 0.5 < within.high
    assert "the view alone" in audit.meaning
    assert "stated for 800 of 800 images" in audit.meaning


def test_a_model_of_the_disease_tells_it_among_one_view_too() -> None:
    testset = a_test(800, bedside=0, disease=2)
    audit = asked(testset)
    assert figure(audit, WITHIN_VIEW).low > 0.65
    away = testset.where((testset.table["source"] == "away").to_numpy())
    bed = (away.table["view"] == "AP").to_numpy()
    for view, mask in (("AP", bed), ("PA", ~bed)):
        expected = roc_auc_score(away.positive[mask], away.score[mask])
        assert figure(audit, OF_ONE_VIEW, view=view).value == pytest.approx(expected)
    pairs = [away.positive[m].sum() * (~away.positive[m]).sum() for m in (bed, ~bed)]
    mean = np.average([figure(audit, OF_ONE_VIEW, view=view).value for view in ("AP", "PA")], weights=pairs)
    assert figure(audit, WITHIN_VIEW).value == pytest.approx(mean)
    within = [row for row in audit.rows if row.labels["source"] == WITHIN_EACH]
    assert {(row.labels["kind"], row.estimate.n) for row in within} == {(INTERNAL, 400), (EXTERNAL, 400)}


def test_a_guess_fills_in_where_the_view_is_not_stated() -> None:
    testset = a_test(400, bedside=3, disease=0)
    guessed = testset.with_columns(view="", **{VIEW_GUESS: testset.table["view"]})
    assert asked(guessed).rows == asked(testset).rows
    contradicted = testset.with_columns(**{VIEW_GUESS: "PA"})
    assert asked(contradicted).rows == asked(testset).rows
    half = np.arange(400) % 3 == 0
    some = testset.with_columns(view=testset.table["view"].where(half, "frontal"))
    audit = asked(some)
    assert audit.images == half.sum()
    assert f"stated for {half.sum()}, unknown of {(~half).sum()} of 400" in audit.meaning


def test_lying_in_bed_is_ap_too() -> None:
    supine = a_test(400, bedside=3, disease=0, views=("AP supine", "PA"))
    assert asked(supine).rows == asked(a_test(400, bedside=3, disease=0)).rows


def test_what_cannot_be_asked_is_not_done() -> None:
    testset = a_test(100, bedside=1, disease=1)
    unknown = asked(testset.with_columns(view=""))
    assert unknown.call is AuditResult.NOT_DONE
    assert "could be guessed" in unknown.meaning
    one_sided = testset.with_columns(source=np.where(testset.positive, "a", "b"))
    audit = asked(one_sided)
    assert audit.call is AuditResult.NOT_DONE
    assert "every source holds one class" in audit.meaning
