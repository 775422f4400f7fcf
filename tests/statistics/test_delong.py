"""DeLong's variance and paired test against a worked example, others' code and the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lungsight.statistics.delong import DeLong, auroc_estimate, auroc_interval, compare_aurocs
from lungsight.statistics.outcomes import Outcomes

#: Albumin, total protein, K-G score (higher is worse), and whether surgery helped: 43 patients with ovarian cancer,
#: the worked example of DeLong, DeLong & Clarke-Pearson 1988, as printed in the SAS/STAT User's Guide (The LOGISTIC
#: Procedure, "Comparing Receiver Operating Characteristic Curves").
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def ovarian() -> tuple[np.ndarray, np.ndarray]:
    """Scores [3, 43] of albumin, K-G score (turned round) and total protein; who was helped [43]."""
    albumin, protein, kg, helped = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    return np.stack([albumin, 10 - kg, protein]), helped == 1


def test_the_ovarian_cancer_example_as_mlstatkit_computes_it() -> None:
    """Against another's implementation, MLstatkit 0.1.91: its AUROCs, variances of the differences, z and p."""
    scores, helped = ovarian()
    found = DeLong.of(scores, helped)
    assert found.auroc == pytest.approx([0.7365591397849462, 0.7258064516129032, 0.6478494623655915], abs=1e-12)
    wald = found.auroc[:, None] + 1.959963984540054 * np.outer(found.standard_error, [-1, 1])
    assert wald[0] == pytest.approx([0.5548815599517445, 0.918236719618148], abs=1e-9)
    assert wald[1] == pytest.approx([0.5242798011795496, 0.9273331020462569], abs=1e-9)
    assert wald[2] == pytest.approx([0.4517602094737053, 0.8439387152574777], abs=1e-9)
    pairs = {
        (0, 1): (0.009090405441862261, 0.11277826904452642, 0.9102063472010351),
        (1, 2): (0.010943166051776873, 0.7452183896579927, 0.45613970750747357),
        (0, 2): (0.0031126605983525877, 1.59002925832072, 0.11182821012069626),
    }
    for (i, j), (variance, z, p) in pairs.items():
        compared = compare_aurocs(scores[i], scores[j], helped)
        assert compared.difference == pytest.approx(found.auroc[i] - found.auroc[j], abs=1e-12)
        assert (compared.z, compared.p) == pytest.approx((z, p), abs=1e-9)
        half = 1.959963984540054 * variance**0.5
        assert (compared.low, compared.high) == pytest.approx(
            (compared.difference - half, compared.difference + half), abs=1e-9
        )


def by_definition(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance, pair by pair (DeLong, DeLong & Clarke-Pearson 1988, equations 3 to 6)."""
    kernels = []
    for score in scores:
        x, y = score[positive][:, None], score[~positive][None]
        kernels.append((x > y) + 0.5 * (x == y))
    psi = np.array(kernels)
    theta = psi.mean(axis=(1, 2))
    m, n = psi.shape[1:]
    v10, v01 = psi.mean(axis=2) - theta[:, None], psi.mean(axis=1) - theta[:, None]
    return theta, v10 @ v10.T / (m - 1) / m + v01 @ v01.T / (n - 1) / n


scored = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.floats(0, 1, allow_nan=False)), min_size=4, max_size=40
).filter(lambda rows: 2 <= sum(positive for positive, *_ in rows) <= len(rows) - 2)


@given(scored)
def test_ranks_give_what_the_definition_gives(rows: list[tuple[bool, int, float]]) -> None:
    positive = np.array([row[0] for row in rows])
    scores = np.array([[row[1] for row in rows], [row[2] for row in rows]], dtype=float)
    found = DeLong.of(scores, positive)
    auroc, covariance = by_definition(scores, positive)
    assert found.auroc == pytest.approx(auroc, abs=1e-9)
    assert found.covariance == pytest.approx(covariance, abs=1e-9)
    assert found.auroc == pytest.approx([roc_auc_score(positive, score) for score in scores], abs=1e-9)


@given(scored)
def test_the_interval_holds_the_auroc_and_stays_within_zero_and_one(rows: list[tuple[bool, int, float]]) -> None:
    positive = np.array([row[0] for row in rows])
    score = np.array([row[1] for row in rows], dtype=float)
    bounds = auroc_interval(score, positive)
    auroc = roc_auc_score(positive, score)
    if bounds is None:
        assert auroc in (0.0, 1.0) or DeLong.of(score[None], positive).standard_error[0] == 0
    else:
        assert 0 <= bounds[0] <= auroc <= bounds[1] <= 1


def test_swapping_the_scores_turns_the_sign_and_keeps_p() -> None:
    scores, helped = ovarian()
    one, two = compare_aurocs(scores[0], scores[1], helped), compare_aurocs(scores[1], scores[0], helped)
    assert (one.difference, one.low, one.z) == pytest.approx((-two.difference, -two.high, -two.z))
    assert one.p == pytest.approx(two.p)


def test_a_score_against_itself_has_no_test() -> None:
    scores, helped = ovarian()
    same = compare_aurocs(scores[0], scores[0], helped)
    assert same.difference == 0
    assert same.p is None


def outcomes_of(positive: np.ndarray, score: np.ndarray) -> Outcomes:
    return Outcomes(("a", "b"), positive.astype(int), np.stack([1 - score, score], axis=1), np.arange(len(score)))


def test_the_estimate_says_how_its_interval_was_found() -> None:
    scores, helped = ovarian()
    estimate = auroc_estimate(outcomes_of(helped, scores[0] / 10), "b")
    assert (estimate.name, estimate.interval, estimate.withheld) == ("auroc_delong", "delong", None)
    assert (estimate.n, estimate.positives, estimate.negatives) == (43, 31, 12)
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize(
    ("truth", "score", "value", "reason"),
    [
        ([1, 1, 1], [0.9, 0.8, 0.7], None, "every image here is of b"),
        ([0, 0, 0], [0.9, 0.8, 0.7], None, "no image of b here"),
        ([1, 0, 0], [0.9, 0.8, 0.7], None, "only one image of b here"),
        ([], [], None, "no images"),
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0, "no interval: the scores of the two classes don't overlap"),
    ],
)
def test_what_cannot_be_given_is_withheld(truth: list, score: list, value: float | None, reason: str) -> None:
    estimate = auroc_estimate(outcomes_of(np.array(truth, dtype=bool), np.array(score)), "b")
    assert (estimate.value, estimate.low, estimate.withheld) == (value, None, reason)


def test_a_class_without_images_has_no_auroc() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        DeLong.of(np.ones((1, 3)), np.ones(3, dtype=bool))
