"""The shares of each verdict add up, in the order in which scanning decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.evaluation.judging.judged import Judged
from lungsight.evaluation.parts.verdicts import as_scanned, verdicts
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.thresholds import Aim, DecisionRule

FEW = Resampling(replicates=100)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
RULE = DecisionRule(0.2, 0.6, Aim(0.95, 0.95), 100, 100, 50, "")


def a_test(probabilities: list[tuple[float, float, float]], truth: list[str], **columns: object) -> Judged:
    p = np.array(probabilities)
    table = pd.DataFrame({"source": "north", "patient": [str(i) for i in range(len(p))], "truth": truth})
    table = table.assign(fault="", kind="external", **{f"probability_{c}": p[:, i] for i, c in enumerate(CLASSES)})
    return Judged(table.assign(**columns), CLASSES, "covid19", pd.DataFrame(index=table.index))


def test_the_thresholds_decide_and_below_them_the_likeliest_other_class() -> None:
    rows = [(0.7, 0.3, 0.0), (0.4, 0.6, 0.0), (0.1, 0.5, 0.4), (0.1, 0.2, 0.7), (0.6, 0.2, 0.2), (0.2, 0.8, 0.0)]
    judged = a_test(rows, ["no_pneumonia"] * 6)
    expected = ["covid19", "inconclusive", "other_pneumonia", "no_pneumonia", "covid19", "inconclusive"]
    assert as_scanned(judged, RULE).tolist() == expected
    most_probable = ["covid19", "other_pneumonia", "other_pneumonia", "no_pneumonia", "covid19", "other_pneumonia"]
    assert as_scanned(judged, None).tolist() == most_probable


def test_the_gate_comes_first_then_the_unfamiliar() -> None:
    columns = {"refused": ["A drawing.", "", "A drawing."], "unfamiliar": [True, True, False]}
    judged = a_test([(0.9, 0.1, 0.0)] * 3, ["covid19"] * 3, **columns)
    assert as_scanned(judged, RULE).tolist() == ["refused", "inconclusive", "refused"]
    found = verdicts(judged, RULE, FEW).set_index("metric")["value"]
    assert found["verdict_refused"] == pytest.approx(2 / 3)
    assert found["verdict_covid19"] == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=20))
def test_every_image_gets_one_verdict(images: list[tuple[str, int, int]]) -> None:
    shares = [(a / (a + b + 5), b / (a + b + 5), 5 / (a + b + 5)) for _, a, b in images]
    table = verdicts(a_test(shares, [truth for truth, _, _ in images]), RULE, Resampling(replicates=10))
    assert set(table["truth"]) == {truth for truth, _, _ in images}
    assert table.groupby("truth")["value"].sum().to_numpy() == pytest.approx(1)
    assert table.groupby("truth")["n"].max().sum() == len(images)
