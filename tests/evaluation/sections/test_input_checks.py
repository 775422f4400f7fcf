"""What the gate would refuse is counted, and the figures without it stand beside the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lungsight.evaluation.sections.input_checks import ADMITTED, ADMITTED_AND_FAMILIAR, EVERY_IMAGE, input_checks
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)
CLASSES = ("covid19", "other")


def a_test(n: int = 200, **columns: object) -> TestSet:
    rng = np.random.default_rng(1)
    positive = np.arange(n) % 2 == 0
    p = 1 / (1 + np.exp(-(positive + rng.normal(size=n))))
    table = pd.DataFrame(
        {
            "source": np.where(np.arange(n) % 4 < 2, "north", "south"), "patient": np.arange(n).astype(str),
            "truth": np.where(positive, "covid19", "other"), "fault": "", "kind": "external",
            "probability_covid19": p, "probability_other": 1 - p,
        }
    )  # fmt: skip
    return TestSet(table.assign(**columns), CLASSES, "covid19", pd.DataFrame(index=table.index))


def the_wrong_ones(testset: TestSet) -> np.ndarray:
    called = testset.table["probability_covid19"].to_numpy() > 0.5
    return called != testset.positive


def test_a_package_without_companions_has_nothing_to_say() -> None:
    section = input_checks(a_test(), FEW)
    assert section_tables(section) == {}
    assert section.sentences == ()


def test_a_gate_that_refuses_what_the_model_gets_wrong_flatters_it_and_is_seen() -> None:
    wrong = the_wrong_ones(a_test())
    reasons = np.where(wrong, "The probability of a frontal chest radiograph is 0.12, below 0.50. No lungs.", "")
    testset = a_test(refused=reasons)
    section = input_checks(testset, FEW)
    shares = section_tables(section)["safeguards"].set_index(["source", "truth"])
    assert shares.loc[("all", "every class"), "value"] == pytest.approx(wrong.mean())
    for source in ("north", "south"):
        here = (testset.table["source"] == source).to_numpy()
        assert shares.loc[(source, "every class"), "value"] == pytest.approx(wrong[here].mean())
        assert shares.loc[(source, "every class"), "low"] < wrong[here].mean()
        assert shares.loc[(source, "covid19"), "value"] == pytest.approx(wrong[here & testset.positive].mean())
    figures = section_tables(section)["without_refused"]
    aurocs = figures[figures["metric"] == "auroc"].set_index(["source", "images"])["value"]
    score = testset.table["probability_covid19"]
    assert aurocs["all", EVERY_IMAGE] == pytest.approx(roc_auc_score(testset.positive, score))
    assert aurocs["all", ADMITTED] == 1.0
    assert ADMITTED_AND_FAMILIAR not in set(figures["images"])
    assert any("without refused" in s and "north" in s for s in section.sentences)


def test_images_judged_the_other_way_round_are_counted() -> None:
    section = input_checks(a_test(20, refused="", inverted=np.arange(20) < 5), FEW)
    shares = section_tables(section)["safeguards"].set_index(["source", "truth", "metric"])["value"]
    assert shares["all", "every class", "inverted"] == 0.25
    assert any("taken for negatives" in sentence for sentence in section.sentences)


def test_reasons_that_differ_in_their_numbers_only_count_as_one() -> None:
    reasons = [f"The probability of a chest radiograph is 0.{i % 7}, below 0.5. No lungs." for i in range(20)]
    counted = section_tables(input_checks(a_test(20, refused=reasons), FEW))["refusals"]
    assert len(counted) == 4  # two reasons at two sources
    assert set(counted["images"]) == {10}
    assert set(counted["reason"]) == {"The probability of a chest radiograph is …, below ….", "No lungs."}


def test_unfamiliar_images_and_lungs_that_are_none_are_counted() -> None:
    n = 40
    far = np.arange(n) < 10
    testset = a_test(n, refused=np.where(np.arange(n) < 4, "A drawing.", ""), unfamiliar=far, lung_faults="One lung.")
    section = input_checks(testset, FEW)
    rows = section_tables(section)["safeguards"]
    whole = rows[(rows["source"] == "all") & (rows["truth"] == "every class")].set_index("metric")
    assert whole["value"].to_dict() == {"refused": 0.1, "unfamiliar": 0.25, "without_plausible_lungs": 1.0}
    figures = section_tables(section)["without_refused"]
    left = figures[(figures["metric"] == "auroc") & (figures["source"] == "all")].set_index("images")
    counts = (left["positives"] + left["negatives"]).to_dict()
    assert counts == {EVERY_IMAGE: 40, ADMITTED: 36, ADMITTED_AND_FAMILIAR: 30}


def test_where_everything_is_refused_nothing_is_left_to_score() -> None:
    section = input_checks(a_test(20, refused="A drawing."), FEW)
    assert set(section_tables(section)["without_refused"]["images"]) == {EVERY_IMAGE}
