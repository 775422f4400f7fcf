"""One class against one other: by the same rank as scikit-learn's, and within sites only pairs of one site."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lungsight.evaluation.sections.one_vs_one import one_vs_one
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")


def a_test(n: int = 240, *, telling_sites: bool = False) -> TestSet:
    """Sites a and b; with ``telling_sites`` the score tells the site, which tells the class, and nothing else."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, n)
    likely = np.where(truth == 0, 0.8, 0.2)
    site = np.where(rng.random(n) < likely, "a", "b")
    score = (site == "a") * 2.0 + rng.normal(size=n) * 0.01 if telling_sites else (truth == 0) + rng.normal(size=n)
    p = 1 / (1 + np.exp(-score))
    table = pd.DataFrame(
        {
            "source": np.where(np.arange(n) % 3, "north", "south"), "patient": np.arange(n).astype(str), "site": site,
            "truth": np.array(CLASSES)[truth], "fault": "", "kind": "internal",
            "probability_covid19": p, "probability_other_pneumonia": (1 - p) / 2,
            "probability_no_pneumonia": (1 - p) / 2,
        }
    )  # fmt: skip
    return TestSet(table, CLASSES, "covid19", pd.DataFrame(index=table.index))


def test_each_pair_is_ranked_by_the_probability_of_its_first_class() -> None:
    testset = a_test()
    rows, sentences = one_vs_one(testset, FEW)
    table = frame(rows)
    assert set(table["against"]) == {"other_pneumonia", "no_pneumonia"}
    for row in table[table["metric"] == "auroc"].to_dict("records"):
        images = testset.table[testset.table["source"] == row["source"]]
        pair = images[images["truth"].isin((row["scope"], row["against"]))]
        expected = roc_auc_score(pair["truth"] == row["scope"], pair[f"probability_{row['scope']}"])
        assert row["value"] == pytest.approx(expected)
        assert row["low"] < row["value"] < row["high"]
        assert row["positives"] + row["negatives"] == row["n"] == len(pair)
    assert len(table[table["metric"] == "auroc"]) == 6
    assert any(s.startswith("north (internal), COVID-19 against other pneumonia alone: AUROC 0.") for s in sentences)


def test_what_only_tells_the_site_is_worth_nothing_within_sites() -> None:
    rows, sentences = one_vs_one(a_test(telling_sites=True), FEW)
    table = frame(rows)
    of_target = table[table["scope"] == "covid19"]
    whole, within = (of_target[of_target["metric"] == name] for name in ("auroc", "auroc_within_site"))
    assert (whole["low"] > 0.55).all()
    assert (within["low"] < 0.5).all()
    assert (within["high"] > 0.5).all()
    assert set(table["sites"]) == {2}
    assert any("within the 2 sites that hold both" in s for s in sentences)


def test_a_source_of_one_class_and_sites_of_one_class_have_no_rows() -> None:
    testset = a_test()
    table = testset.table
    alone = testset.where((table["truth"] == "covid19").to_numpy())
    assert not len(one_vs_one(alone, FEW)[0])
    apart = testset.with_columns(site=table["truth"])
    found, _ = one_vs_one(apart, FEW)
    assert {row.estimate.name for row in found} == {"auroc"}
    assert {row.labels["sites"] for row in found} == {0}
    unnamed, _ = one_vs_one(testset.with_columns(site=""), FEW)
    assert {row.estimate.name for row in unnamed} == {"auroc"}
