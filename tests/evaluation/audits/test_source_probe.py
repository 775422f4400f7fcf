"""Whether the features tell the source, and the source the truth, where both are known beforehand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats.contingency import association

from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.source_probe import SPEC, cramers_v
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Detector
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

CLASSES = ("covid19", "other")
QUICK = Resampling(replicates=200)


def source_probe(testset: TestSet) -> Audit:
    """A model is there, and isn't asked: the features are known."""
    return SPEC.audit(AuditInput(testset, QUICK, cast(Detector, SimpleNamespace(lacks={}))))


def a_test(*, told: float, shares: dict[str, float], n: int = 120, seed: int = 0, per_patient: int = 2) -> TestSet:
    """``n`` images of each source; ``told`` is how far the features shift with the source, in standard deviations;
    ``shares`` the target's share in each source. The features tell the truth too."""
    rng = np.random.default_rng(seed)
    source = np.repeat(list(shares), n)
    patient = np.concatenate([np.arange(n) // per_patient for _ in shares])
    truth = np.concatenate([np.arange(n) // per_patient % 100 < 100 * share for share in shares.values()])
    for name, share in shares.items():  # by patient, spread evenly
        mask = source == name
        ranks = np.random.default_rng(1).permutation(n // per_patient)[patient[mask]]
        truth[mask] = ranks < share * (n // per_patient)
    features = rng.normal(size=(len(source), 20))
    features[:, 0] += told * np.unique(source, return_inverse=True)[1]
    features[:, 1] += 2 * truth
    probability = np.where(truth, 0.7, 0.3)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(len(source))],
            "source": source,
            "patient": patient.astype(str),
            "truth": np.where(truth, "covid19", "other"),
            "fault": "",
            "kind": "external",
            "probability_covid19": probability,
            "probability_other": 1 - probability,
        }
    )
    return TestSet(table, CLASSES, "covid19", pd.DataFrame(index=table.index), features.astype(np.float32))


def figure(audit: Audit, metric: str, among: str = "all classes", source: str = "every source") -> pd.Series:
    table = frame(audit.rows)
    (row,) = table[(table["metric"] == metric) & (table["among"] == among) & (table["source"] == source)].index
    return table.loc[row]


def test_a_source_that_is_told_and_tells_the_truth_is_said_to_be_enough() -> None:
    audit = source_probe(a_test(told=4, shares={"north": 0.9, "south": 0.1}, n=240))
    assert audit.call == AuditResult.REPORTED
    for among in ("all classes", "covid19", "other"):
        assert figure(audit, "source_auroc", among)["low"] > 0.9
    assert figure(audit, "source_balanced_accuracy")["value"] > 0.9
    assert figure(audit, "source_balanced_accuracy")["chance"] == 0.5
    assert figure(audit, "auroc_of_knowing_the_source")["value"] == pytest.approx(0.9, abs=0.03)
    assert "without looking at the disease" in audit.meaning
    assert audit.effect is not None
    assert audit.effect.n == 240  # images of one class


def test_features_that_do_not_tell_the_source_stay_at_chance() -> None:
    audit = source_probe(a_test(told=0, shares={"north": 0.5, "south": 0.5, "west": 0.5}))
    for among in ("all classes", "covid19", "other"):
        assert figure(audit, "source_auroc", among)["value"] == pytest.approx(0.5, abs=0.12)
    assert figure(audit, "source_balanced_accuracy")["chance"] == pytest.approx(1 / 3)
    assert figure(audit, "source_auroc", source="west")["n"] == 360


def test_a_source_that_is_told_but_tells_nothing_is_worth_little() -> None:
    audit = source_probe(a_test(told=4, shares={"north": 0.5, "south": 0.5}))
    assert figure(audit, "auroc_of_knowing_the_source")["value"] == pytest.approx(0.5, abs=0.03)
    assert "worth little" in audit.meaning


def test_the_disease_alone_does_not_tell_the_source_within_one_class() -> None:
    """The features show the disease, which one source has more of: only over all classes does that tell sources."""
    audit = source_probe(a_test(told=0, shares={"north": 0.85, "south": 0.15}, n=200))
    assert figure(audit, "source_auroc")["low"] > 0.55
    within = audit.effect
    assert within is not None
    assert within.low is not None
    assert within.low < 0.5 < within.high  # type: ignore[operator]


def test_patients_are_never_on_both_sides() -> None:
    """Features that name the patient and nothing else don't tell the source."""
    testset = a_test(told=0, shares={"north": 0.5, "south": 0.5}, n=160, per_patient=8)
    rng = np.random.default_rng(3)
    own = rng.normal(size=(160, 20))[testset.patient]
    testset = TestSet(testset.table, CLASSES, "covid19", testset.headers, own.astype(np.float32))
    row = figure(source_probe(testset), "source_auroc")
    assert row["low"] < 0.5
    assert row["value"] < 0.8


def test_small_sources_are_left_out_and_named() -> None:
    testset = a_test(told=4, shares={"north": 0.5, "south": 0.5, "west": 0.5})
    few = ((testset.table["source"] != "west") | (testset.table["patient"].astype(int) < 5)).to_numpy()
    audit = source_probe(testset.where(few))
    assert "fewer than 10 patients: west" in audit.meaning
    assert audit.images == 240


def test_what_cannot_be_asked_is_not_done() -> None:
    testset = a_test(told=1, shares={"north": 0.5, "south": 0.5})
    theirs = TestSet(testset.table, CLASSES, "covid19", testset.headers)
    assert source_probe(theirs).call == AuditResult.NOT_DONE
    alone = testset.where((testset.table["source"] == "north").to_numpy())
    audit = source_probe(alone)
    assert audit.call == AuditResult.NOT_DONE
    assert "images of north only" in audit.meaning


def test_a_source_of_one_class_each_leaves_the_within_class_question_open() -> None:
    audit = source_probe(a_test(told=4, shares={"north": 1.0, "south": 0.0}))
    assert "No class is shared by two sources" in audit.meaning
    assert figure(audit, "cramers_v")["value"] == pytest.approx(1)


@settings(deadline=None)
@given(hnp.arrays(np.int64, (2, 4), elements=st.integers(1, 50)))
def test_cramers_v_is_scipys(counts: np.ndarray) -> None:
    ours = cramers_v(counts[:1].astype(float), counts.sum(axis=0)[None].astype(float))
    assert ours[0] == pytest.approx(association(counts, method="cramer"), abs=1e-12)
