"""Whether the score follows corners and borders, where that is known beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.corners_and_borders import MEASURED, SPEC, correlation
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, TRUTH

FEW = Resampling(replicates=200)


def a_test(follows: float, *, disease: float = 2.0, n: int = 160, per_patient: int = 1, sources: int = 2) -> TestSet:
    """The score rises with the truth and, by ``follows``, with the brightest corner. In the first source corners are
    brighter, and more images are positive."""
    rng = np.random.default_rng(3)
    source = np.arange(n) % sources
    positive = rng.random(n) < np.where(source == 0, 0.8, 0.3)
    corner = rng.normal(size=n) - source
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + disease * positive - source + follows * corner)))
    headers = pd.DataFrame(rng.normal(size=(n, len(ImageStatistics._fields))), columns=list(ImageStatistics._fields))
    table = pd.DataFrame(
        {
            TRUTH: np.where(positive, "covid19", "other"), "source": [f"s{i}" for i in source], FAULT: "",
            "patient": [f"p{i // sources // per_patient}" for i in range(n)], "probability_covid19": score,
            "probability_other": 1 - score, KIND: np.where(source == 0, INTERNAL, EXTERNAL),
        }
    )  # fmt: skip
    return TestSet(table, ("covid19", "other"), "covid19", headers.assign(corner_brightest=corner))


def audit(testset: TestSet) -> Audit:
    return SPEC.audit(AuditInput(testset, FEW))


def test_a_score_that_follows_the_corners_is_reported_and_never_called() -> None:
    found = audit(a_test(follows=1.5))
    assert found.call is AuditResult.REPORTED
    assert found.effect is not None
    assert found.effect.low is not None
    assert found.effect.low > 0.4
    assert "the brightest corner" in found.meaning
    assert {row.labels["measured"] for row in found.rows} == set(MEASURED)
    assert {row.labels["source"] for row in found.rows} == {"s0", "s1"}


def test_disease_and_source_are_not_taken_for_corners() -> None:
    """Over both sources score and corners go together; within one they don't."""
    testset = a_test(follows=0.0, n=400)
    assert spearmanr(testset.score, testset.headers["corner_brightest"])[0] > 0.2
    together = audit(testset.with_columns(**{KIND: EXTERNAL}))
    row = next(
        r for r in together.rows if r.labels == {"kind": EXTERNAL, "source": "all", "measured": "corner_brightest"}
    )
    assert abs(row.estimate.value or 0) < 0.1
    assert "neither corners nor borders" in audit(testset).meaning


def test_the_interval_counts_patients_not_images() -> None:
    alone, clustered = (audit(a_test(1.0, per_patient=k)).effect for k in (1, 8))
    assert alone is not None
    assert clustered is not None
    assert alone.patients > clustered.patients == 10


def test_what_cannot_be_asked_is_not_done() -> None:
    few = a_test(1.0, n=16)
    assert audit(few).call is AuditResult.NOT_DONE
    assert "10 are needed" in audit(few).meaning
    unread = a_test(1.0)
    unread.headers.loc[:] = np.nan
    assert "no image could be read" in audit(unread).meaning
    assert audit(a_test(0.0).where(np.zeros(160, dtype=bool))).call is AuditResult.NOT_DONE


@given(st.integers(0, 10_000), st.integers(5, 40))
@settings(deadline=None, max_examples=25)
def test_in_one_stratum_it_is_spearmans_and_weights_are_copies(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=n), rng.integers(0, 4, n).astype(float)
    if len(set(other)) < 2:
        return
    statistic = correlation(one, other, np.zeros(n, dtype=np.int64))
    assert statistic(np.ones((1, n)))[0] == pytest.approx(spearmanr(one, other)[0])
    strata = rng.integers(0, 2, n)
    twice = correlation(np.tile(one, 2), np.tile(other, 2), np.tile(strata, 2))(np.ones((1, 2 * n)))
    once = correlation(one, other, strata)(np.full((1, n), 2.0))
    np.testing.assert_allclose(once, twice, atol=1e-9)
