"""The worst errors are those of the decision rule, one a patient, the surest first, and they come with their map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.failures import AT_MOST, failures
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import DECISION, EXTERNAL, KIND, TestSet
from lungsight.inference import INCONCLUSIVE, REFUSED, Detector
from lungsight.package import ModelPackage
from lungsight.statistics.outcomes import TRUTH

#: Of the images of COVID-19 and of the others: how bright they are, above 0.5 is called COVID-19.
SICK, WELL = (0.1, 0.2, 0.3, 0.35, 0.4, 0.8, 0.9), (0.1, 0.2, 0.6, 0.9, 0.7)


@pytest.fixture
def tested(film: Callable, films: Callable, make_package: Callable[[pd.DataFrame], Path]) -> tuple[Detector, TestSet]:
    wanted = [film("covid19", grey, f"s{i}") for i, grey in enumerate(SICK)]
    rows = films([*wanted, *(film("other", grey, f"w{i}") for i, grey in enumerate(WELL))])
    detector = Detector.load(ModelPackage.open(make_package(rows)), 1, features=True)
    manifest = Manifest.of(rows, "films")
    testset = predict_manifest_images(detector, manifest.with_columns(**{TRUTH: manifest.table["label"]}))
    return detector, testset.with_columns(**{KIND: EXTERNAL})


def test_the_surest_errors_come_first(tested: tuple[Detector, TestSet]) -> None:
    missed, alarms = failures(tested[1], tested[0])
    assert (missed.total, missed.of) == (5, 7)
    assert (alarms.total, alarms.of) == (3, 5)
    assert len(missed.shown) == len(alarms.shown) == AT_MOST
    assert [one.score for one in missed.shown] == sorted(tested[1].score[:5])[:3]
    assert [one.score for one in alarms.shown] == sorted(tested[1].score[7:], reverse=True)[:3]
    assert {one.truth for one in missed.shown} == {"covid19"}
    for one in (*missed.shown, *alarms.shown):
        assert one.finding.radiograph is not None
        assert one.finding.map is not None
        assert one.finding.probabilities["covid19"] == pytest.approx(one.score)


def test_what_the_rule_leaves_open_is_no_error(tested: tuple[Detector, TestSet]) -> None:
    detector, testset = tested
    decision = testset.table[DECISION].to_list()
    decision[0], decision[1], decision[10] = INCONCLUSIVE, REFUSED, INCONCLUSIVE
    missed, alarms = failures(testset.with_columns(**{DECISION: decision}), detector)
    assert (missed.total, alarms.total) == (3, 2)
    assert min(one.score for one in missed.shown) == sorted(testset.score[:5])[2]


def test_a_patient_is_shown_once(tested: tuple[Detector, TestSet]) -> None:
    detector, testset = tested
    patients = ["one"] * 4 + testset.table["patient"].to_list()[4:]
    missed, _ = failures(testset.with_columns(patient=patients), detector)
    assert missed.total == 5
    assert [one.score for one in missed.shown] == sorted(testset.score[[0, 4]])


def test_a_file_that_is_gone_is_named(tested: tuple[Detector, TestSet]) -> None:
    detector, testset = tested
    Path(testset.table["path"].iloc[0]).unlink()
    missed, _ = failures(testset, detector)
    assert len(missed.shown) == 2
    assert [testset.table["path"].iloc[0] in problem for problem in missed.unreadable] == [True]


def test_without_a_model_the_image_is_shown_without_a_map(tested: tuple[Detector, TestSet]) -> None:
    testset = tested[1]
    bare = testset.table.drop(columns=DECISION)
    missed, _ = failures(TestSet(bare, testset.classes, testset.target, testset.headers), None)
    assert missed.total == 5
    assert all(one.finding.map is None and one.finding.radiograph is not None for one in missed.shown)
