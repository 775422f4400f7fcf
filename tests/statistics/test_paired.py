"""Comparisons of two models on the same images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.delong import PairedAuroc
from lungsight.statistics.estimate import ALL_CLASSES
from lungsight.statistics.metrics import estimate_all
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.paired import PairedDifference, mcnemar, paired_auroc, paired_differences

FEW = Resampling(replicates=400)


def paired_difference(
    a: Outcomes, b: Outcomes, metric: str, scope: str, resampling: Resampling = FEW
) -> PairedDifference:
    (found,) = paired_differences(a, b, [(metric, scope)], resampling)
    return found


def two_models(better: float, seed: int = 0, n: int = 300, shared: float = 0.8) -> tuple[Outcomes, Outcomes]:
    """The first separates the classes by ``better`` more than the second; their errors are alike."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    alike = rng.normal(size=n)
    patient = np.unique(rng.integers(n // 2, size=n), return_inverse=True)[1]
    made = []
    for extra in (better, 0.0):
        z = (2 + extra) * (truth - 0.5) + shared * alike + np.sqrt(1 - shared**2) * rng.normal(size=n)
        p = 1 / (1 + np.exp(-z))
        made.append(Outcomes(("a", "b"), truth, np.stack([1 - p, p], axis=1), patient))
    return made[0], made[1]


def test_mcnemar_is_the_binomial_of_the_images_that_differ() -> None:
    a = np.array([True] * 12 + [False] * 3 + [True] * 20 + [False] * 5)
    b = np.array([False] * 12 + [True] * 3 + [True] * 20 + [False] * 5)
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (12, 3)
    assert found.p == pytest.approx(2 * binom.cdf(3, 15, 0.5), abs=1e-12)


def test_mcnemar_of_two_models_that_never_differ() -> None:
    assert mcnemar(np.array([True, False]), np.array([True, False])).p == 1


@pytest.mark.parametrize("metric", ["auroc", "sensitivity", "brier_score", "average_precision"])
def test_the_difference_is_that_of_the_two_figures(metric: str) -> None:
    a, b = two_models(0.5)
    found = paired_difference(a, b, metric, "b", FEW)
    one, two = (next(e for e in estimate_all(o, FEW) if (e.scope, e.name) == ("b", metric)).value for o in (a, b))
    assert (found.a, found.b) == (one, two)
    assert found.difference.value == pytest.approx(one - two, abs=1e-12)
    assert found.difference.name == f"{metric}_difference"
    assert found.difference.low <= found.difference.value <= found.difference.high


def test_pairing_makes_the_interval_narrower_than_two_samples_would() -> None:
    a, b = two_models(0.0, shared=0.95)
    paired = paired_difference(a, b, "auroc", "b", FEW).difference
    alone = next(e for e in estimate_all(a, FEW) if (e.scope, e.name) == ("b", "auroc"))
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)


def test_several_figures_at_once_are_those_one_by_one() -> None:
    a, b = two_models(0.5)
    wanted = [("auroc", "b"), ("accuracy", ALL_CLASSES)]
    assert paired_differences(a, b, wanted, FEW) == [paired_difference(a, b, *one, FEW) for one in wanted]


def test_a_better_model_is_found_and_swapping_turns_the_sign() -> None:
    a, b = two_models(1.5)
    one, two = paired_difference(a, b, "auroc", "b", FEW), paired_difference(b, a, "auroc", "b", FEW)
    assert one.p == pytest.approx(two.p)
    assert one.difference.interval == "bca"
    assert one.p < 0.02
    assert one.difference.low == pytest.approx(-two.difference.high)
    delong = paired_auroc(a, b, "b")
    assert isinstance(delong, PairedAuroc)
    assert delong.difference == pytest.approx(one.difference.value)
    assert delong.p < 0.02


def test_the_test_keeps_its_level() -> None:
    """Of 200 pairs of equal models, about 5% are called different."""
    resampling = Resampling(replicates=200)
    ps = [paired_difference(*two_models(0.0, seed, 120), "auroc", "b", resampling).p for seed in range(200)]
    assert 0.01 <= np.mean([p < 0.05 for p in ps]) <= 0.10  # 0.05 ± three standard errors


@pytest.mark.parametrize("better", [0.1, 0.3, 0.6])
def test_the_p_value_is_below_5_of_100_where_the_interval_leaves_zero_out(better: float) -> None:
    for seed in range(8):
        a, b = two_models(better, seed, 150)
        for metric in ("auroc", "sensitivity", "brier_score"):
            found = paired_difference(a, b, metric, "b")
            leaves_out = not found.difference.low <= 0 <= found.difference.high
            assert leaves_out == (found.p < 0.05) or abs(found.p - 0.05) < 0.01


def test_the_same_model_twice_differs_by_nothing() -> None:
    a, _ = two_models(0.5)
    found = paired_difference(a, a, "sensitivity", "b", FEW)
    assert (found.difference.value, found.difference.low, found.p) == (0.0, None, None)
    assert "every resample gives the same" in found.difference.withheld


def test_a_figure_that_one_model_lacks_is_withheld() -> None:
    a, b = two_models(0.5, n=40)
    never = Outcomes(b.classes, b.truth, np.tile([0.9, 0.1], (len(b), 1)), b.patient)
    found = paired_difference(a, never, "ppv", "b", FEW)
    assert (found.b, found.difference.value, found.p) == (None, None, None)
    assert found.difference.withheld == "no image was called b"


def test_nothing_can_be_said_of_no_images() -> None:
    nothing = Outcomes(("a", "b"), np.zeros(0, dtype=int), np.zeros((0, 2)), np.zeros(0, dtype=int))
    assert paired_difference(nothing, nothing, "auroc", "b").difference.withheld == "no images"
    assert paired_auroc(nothing, nothing, "b") == "no images"


def test_other_images_cannot_be_compared() -> None:
    a, b = two_models(0.5)
    with pytest.raises(ValueError, match="same images"):
        paired_difference(a, Outcomes(b.classes, 1 - b.truth, b.probabilities, b.patient), "auroc", "b")
