"""Sources never seen beside those trained on, where how well the model does at each is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.leave_one_source_out import AS_IT_STANDS, DIFFERENCE, RETRAINED, SPEC
from lungsight.evaluation.audits.retraining import HeldOut
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

QUICK = Resampling(replicates=200)


def leave_one_source_out(testset: TestSet, retrained: Sequence[HeldOut] = ()) -> Audit:
    return SPEC.audit(AuditInput(testset, QUICK, retrained=tuple(retrained)))


def images(source: str, kind: str, shift: float, *, n: int = 100, positives: float = 0.5, seed: int = 0) -> TestSet:
    """``n`` patients of one source; scores of the diseased lie ``shift`` standard deviations higher."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) < positives * n
    probability = 1 / (1 + np.exp(-(rng.normal(size=n) + shift * (truth - 0.5))))
    table = pd.DataFrame(
        {
            "path": [f"{source}{i}.png" for i in range(n)],
            "source": source,
            "patient": [str(i) for i in range(n)],
            "truth": np.where(truth, "covid19", "other"),
            "prediction": np.where(probability > 0.5, "covid19", "other"),
            "fault": "",
            "kind": kind,
            "probability_covid19": probability,
            "probability_other": 1 - probability,
        }
    )
    return TestSet(table, ("covid19", "other"), "covid19", pd.DataFrame(index=table.index))


def together(*parts: TestSet) -> TestSet:
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return TestSet(table, parts[0].classes, parts[0].target, pd.DataFrame(index=table.index))


def figure(audit: Audit, model: str, source: str, metric: str) -> pd.Series:
    table = frame(audit.rows)
    chosen = (table["model"] == model) & (table["source"] == source) & (table["metric"] == metric)
    (row,) = table.index[chosen]
    return table.loc[row]


def test_a_model_that_fails_elsewhere_drops_by_the_difference_of_the_means() -> None:
    testset = together(
        images("home", "internal", 3, seed=1),
        images("near", "external", 0, seed=2),
        images("far", "external", 0, seed=3),
    )
    audit = leave_one_source_out(testset)
    of = {name: figure(audit, AS_IT_STANDS, name, "auroc")["value"] for name in ("home", "near", "far")}
    assert audit.call == AuditResult.REPORTED
    assert audit.effect is not None
    assert audit.effect.value == pytest.approx(of["home"] - (of["near"] + of["far"]) / 2)
    assert audit.effect.low is not None
    assert audit.effect.low > 0.3
    assert (audit.effect.n, audit.effect.patients) == (300, 300)
    assert "At the 2 sources that it never saw" in audit.meaning


def test_a_model_that_holds_elsewhere_does_not_drop() -> None:
    testset = together(images("home", "internal", 3, seed=1), images("far", "external", 3, seed=2))
    effect = leave_one_source_out(testset).effect
    assert effect is not None
    assert effect.low is not None
    assert effect.low < 0 < effect.high  # type: ignore[operator]


def test_a_source_of_one_class_gives_its_specificity_alone() -> None:
    testset = together(images("home", "internal", 3), images("healthy", "external", 3, positives=0))
    audit = leave_one_source_out(testset)
    assert figure(audit, AS_IT_STANDS, "healthy", "specificity")["low"] > 0.8
    assert figure(audit, AS_IT_STANDS, "healthy", "auroc")["withheld"] == "no image of COVID-19 here"
    assert audit.effect is None
    assert "no AUROC is given within them" in audit.meaning


def test_both_models_are_compared_on_the_same_images() -> None:
    full, held_out = images("home", "internal", 3, seed=1), images("home", "internal", 0, seed=2)
    retrained = [
        HeldOut("home", full, held_out),
        HeldOut("other", full.where(np.zeros(100, bool)), full, "too small"),
    ]
    audit = leave_one_source_out(full, retrained=retrained)
    apart = figure(audit, AS_IT_STANDS, "home", "auroc")["value"] - figure(audit, RETRAINED, "home", "auroc")["value"]
    assert figure(audit, DIFFERENCE, "home", "auroc_difference")["value"] == pytest.approx(apart)
    assert audit.effect is not None
    assert audit.effect.value == pytest.approx(apart)
    assert audit.effect.n == 100
    assert audit.effect.low is not None
    assert audit.effect.low > 0.2
    assert "Not retrained without other: too small." in audit.meaning


def test_no_source_held_out_is_not_done() -> None:
    audit = leave_one_source_out(images("home", "internal", 3))
    assert audit.call == AuditResult.NOT_DONE
    assert "trained on every source" in audit.meaning
    assert "isn't stated" in leave_one_source_out(images("home", "unstated", 3)).meaning
