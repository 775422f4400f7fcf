"""What scanning answers, of the images with the target and of those without, source by source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.sections.answers import (
    LEFT_OPEN,
    PREDICTED_NEGATIVE,
    PREDICTED_POSITIVE,
    REFUSED,
    answers,
    answers_by_source,
    answers_within_view,
)
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import Decision
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=100)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
RULE = Decision(low=0.2, high=0.6)


def a_test(score: list[float], truth: list[str], **columns: object) -> TestSet:
    p = np.array(score)
    table = pd.DataFrame({"source": "north", "patient": [str(i) for i in range(len(p))], "truth": truth})
    shares = {"covid19": p, "other_pneumonia": (1 - p) / 2, "no_pneumonia": (1 - p) / 2}
    table = table.assign(fault="", kind="external", **{f"probability_{name}": v for name, v in shares.items()})
    return TestSet(table.assign(**columns), CLASSES, "covid19", pd.DataFrame(index=table.index))


def test_the_packages_own_thresholds_decide_and_refused_images_stand_apart() -> None:
    testset = a_test(
        [0.9, 0.8, 0.4, 0.1, 0.9, 0.7, 0.3, 0.1, 0.1, 0.0],
        ["covid19"] * 5 + ["no_pneumonia", "other_pneumonia", "no_pneumonia", "not_covid19", "no_pneumonia"],
        refused=["", "", "", "", "A drawing.", "", "", "", "", ""],
    )
    (north,) = answers_by_source(answers(testset, RULE, "covid19", FEW))
    value = {name: e.value for name, e in north.with_target.items()}
    assert value == pytest.approx({PREDICTED_POSITIVE: 0.5, LEFT_OPEN: 0.25, PREDICTED_NEGATIVE: 0.25, REFUSED: 0.2})
    assert [e.n for e in north.with_target.values()] == [4, 4, 4, 5]
    value = {name: e.value for name, e in north.without_target.items()}
    assert value == pytest.approx({PREDICTED_POSITIVE: 0.2, LEFT_OPEN: 0.2, PREDICTED_NEGATIVE: 0.6, REFUSED: 0.0})
    assert all(e.low is not None and e.scope == "covid19" for e in north.without_target.values())
    assert "of 5 with COVID-19 (1 refused), 50% (" in north.sentence
    assert "of 5 without COVID-19, 20% (" in north.sentence


def test_each_source_has_a_sentence_and_a_group_without_images_none() -> None:
    testset = a_test([0.9, 0.1, 0.9, 0.8], ["covid19", "no_pneumonia", "covid19", "covid19"])
    testset = testset.with_columns(source=["north", "north", "south", "south"])
    north, south = answers_by_source(answers(testset, RULE, "covid19", FEW))
    assert (north.source, south.source) == ("north", "south")
    assert [e.value for e in north.with_target.values()] == [1.0, 0.0, 0.0, 0.0]
    assert south.without_target == {}
    assert "without" not in south.sentence


def test_a_rule_for_another_class_predicts_the_target_where_it_answers_so() -> None:
    testset = a_test([0.9, 0.1], ["covid19", "other_pneumonia"])
    rows = answers(TestSet(testset.table, CLASSES, "other_pneumonia", testset.headers), RULE, "covid19", FEW)
    (north,) = answers_by_source(rows)
    assert north.with_target[LEFT_OPEN].value == 1.0  # no sign of COVID-19: of other pneumonia nothing is said
    assert north.without_target[PREDICTED_NEGATIVE].value == 1.0


def test_answers_are_given_within_the_views_of_a_source_that_has_both() -> None:
    score = [0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.1]
    testset = a_test(score, ["covid19"] * 4 + ["no_pneumonia"] * 4, view=["AP", "PA"] + ["frontal"] * 6)
    testset = testset.with_columns(view_guess=["PA", "", "AP", "", "AP", "PA", "AP", "PA"])
    rows = list(answers_within_view(testset, RULE, "covid19", FEW))
    assert {row.labels["view"] for row in rows} == {"AP", "PA"}
    found = {(r.labels["view"], r.labels["group"], r.estimate.name): r.estimate for r in rows}
    assert found["AP", "with", PREDICTED_POSITIVE].n == 2
    assert found["AP", "without", PREDICTED_POSITIVE].value == 0.5
    assert found["PA", "with", PREDICTED_NEGATIVE].value == 1.0
    assert list(answers_within_view(testset.with_columns(view="PA"), RULE, "covid19", FEW)) == []


def test_where_every_image_of_a_group_is_refused_the_shares_are_withheld() -> None:
    testset = a_test([0.9, 0.1], ["covid19", "no_pneumonia"], refused=["A drawing.", ""])
    (north,) = answers_by_source(answers(testset, RULE, "covid19", FEW))
    assert north.with_target[PREDICTED_POSITIVE].value is None
    assert "of 1 with COVID-19 (1 refused), none is analysed" in north.sentence
