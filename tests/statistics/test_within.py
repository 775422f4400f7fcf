"""The AUROC within groups beside the pooled one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lungsight.statistics.bootstrap import Resampling, exact_interval
from lungsight.statistics.outcomes import Outcomes
from lungsight.statistics.within import pooled_and_within

FEW = Resampling(replicates=200)


def outcomes_of(score: np.ndarray, positive: np.ndarray) -> Outcomes:
    return Outcomes(("a", "b"), positive.astype(int), np.stack([1 - score, score], axis=1), np.arange(len(score)))


def two_sources(shortcut: float, seed: int = 0, n: int = 400) -> tuple[Outcomes, np.ndarray]:
    """The disease is common in the north and rare in the south; ``shortcut`` is how much the score says where."""
    rng = np.random.default_rng(seed)
    north = rng.random(n) < 0.5
    positive = rng.random(n) < np.where(north, 0.9, 0.1)
    z = 0.5 * positive + shortcut * north + rng.normal(size=n)
    return outcomes_of(1 / (1 + np.exp(-z)), positive), np.where(north, "north", "south")


def test_figures_agree_with_scikit_learn() -> None:
    outcomes, source = two_sources(1.0)
    score, positive = outcomes.probabilities[:, 1], outcomes.truth == 1
    found = pooled_and_within(outcomes, "b", source, "source", "groups", FEW)
    alone = [roc_auc_score(positive[source == s], score[source == s]) for s in ("north", "south")]
    assert found.pooled.value == pytest.approx(roc_auc_score(positive, score), abs=1e-9)
    assert found.within.value == pytest.approx(np.mean(alone), abs=1e-9)
    assert found.difference.value == pytest.approx(found.pooled.value - found.within.value, abs=1e-12)
    assert found.mixed == ("north", "south")


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 5)), min_size=6, max_size=40))
def test_pairs_are_compared_within_a_site_only(rows: list[tuple[bool, int, int]]) -> None:
    positive, site, score = (np.array(column) for column in zip(*rows, strict=True))
    names = np.array([f"site {s}" for s in site])
    found = pooled_and_within(outcomes_of(score / 10, positive), "b", names, "site", "pairs", FEW).within
    wins = [
        (score[i] > score[j]) + 0.5 * (score[i] == score[j])
        for i in range(len(rows))
        for j in range(len(rows))
        if positive[i] and not positive[j] and site[i] == site[j]
    ]
    if found.value is None:
        mixed = np.isin(site, [s for s in set(site) if len(set(positive[site == s])) == 2])
        fewest = min((positive & mixed).sum(), (~positive & mixed).sum())
        assert not wins or len(set(site)) == 1 or fewest < 2  # of the sites compared, as of a source by itself
    else:
        assert found.value == pytest.approx(np.mean(wins), abs=1e-12)


def test_a_shortcut_shows_as_the_difference_and_none_as_none() -> None:
    strong = pooled_and_within(*_with_scope(two_sources(2.0)), "source", "groups", FEW).difference
    assert strong.low > 0.1
    none = pooled_and_within(*_with_scope(two_sources(0.0)), "source", "groups", FEW).difference
    assert none.low < 0.05


def _with_scope(made: tuple[Outcomes, np.ndarray]) -> tuple[Outcomes, str, np.ndarray]:
    return made[0], "b", made[1]


def test_a_source_without_both_classes_does_not_enter() -> None:
    outcomes, source = two_sources(0.0)
    source = np.where((outcomes.truth == 1) & (np.arange(len(source)) % 2 == 0), "only cases", source)
    found = pooled_and_within(outcomes, "b", source, "source", "groups", FEW)
    assert found.mixed == ("north", "south")
    assert found.within.n == int((source != "only cases").sum())
    assert found.pooled.n == len(outcomes)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (lambda positive: np.full(len(positive), "here"), "one source only: nothing to tell apart"),
        (
            lambda positive: np.where(positive, "cases", "controls"),
            "no source holds both classes, so the score may tell sources apart and not the disease",
        ),
    ],
)
def test_what_cannot_be_told_is_withheld(source, reason: str) -> None:  # type: ignore[no-untyped-def]
    outcomes, _ = two_sources(0.0)
    found = pooled_and_within(outcomes, "b", source(outcomes.truth == 1), "source", "groups", FEW)
    assert (found.pooled.value is None) == (not found.mixed)
    assert (found.within.value, found.within.withheld) == (None, reason)
    assert (found.difference.value, found.difference.withheld) == (None, reason)


def test_with_one_mixed_group_the_figure_within_is_that_groups_own() -> None:
    """Value, interval, kind of interval and every count: other groups hold nothing to compare."""
    rng = np.random.default_rng(8)
    positive = np.concatenate([np.arange(40) < 20, np.ones(60, bool), np.zeros(60, bool)])
    group = np.repeat(["mixed", "sick", "well"], [40, 60, 60])
    for effect in (0.1, 5.0):  # the second tells them apart without an error
        score = np.clip(0.4 + effect * 0.1 * positive + rng.uniform(0, 0.2, 160), 0, 1)
        found = pooled_and_within(outcomes_of(score, positive), "b", group, "source", "groups", FEW).within
        here = group == "mixed"
        alone = pooled_and_within(
            outcomes_of(score[here], positive[here]), "b", group[here], "source", "groups", FEW
        ).pooled
        assert replace(found, name=alone.name) == alone
        assert (found.n, found.patients) == (40, 40)


def test_the_exact_interval_of_no_difference_is_that_of_the_sides_compared() -> None:
    """Everything is told apart: the difference is 0, as surely as 20 positives and 20 negatives say."""
    positive = np.concatenate([np.arange(40) < 20, np.ones(200, bool), np.zeros(200, bool)])
    group = np.repeat(["mixed", "sick", "well"], [40, 200, 200])
    found = pooled_and_within(outcomes_of(0.2 + 0.6 * positive, positive), "b", group, "source", "groups", FEW)
    spread = 1 - exact_interval(1.0, 20, 0.95)[0]
    assert (found.difference.value, found.difference.interval) == (0.0, "exact")
    assert (found.difference.low, found.difference.high) == pytest.approx((-spread, spread))
    assert found.within.low == pytest.approx(1 - spread)
