"""What is wrong with a test's data is named, and nothing is named where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.evaluation.testset.data_warnings import data_warnings
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import TestSet


def make_testset(n: int = 80, **columns: object) -> TestSet:
    """``n`` images of as many patients in two sources, every other one COVID-19; ``columns`` take others' place."""
    i = np.arange(n)
    positive = i % 2 == 0
    rows = {
        "path": [f"/{k}.png" for k in i],
        "patient": [f"p{k}" for k in i],
        "source": np.where(i % 4 < 2, "north", "east"),
        "truth": np.where(positive, "covid19", "other"),
        "sha256": [f"{k:064}" for k in i],
        "probability_covid19": np.where(positive, 0.8, 0.3),
        "probability_other": np.where(positive, 0.2, 0.7),
        "fault": "",
        "kind": "external",
    }
    headers = pd.DataFrame(1.0, index=range(n), columns=list(ImageStatistics._fields))
    return TestSet(pd.DataFrame(rows | columns), ("covid19", "other"), "covid19", headers)


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert data_warnings(make_testset()) == ()


I = np.arange(80)  # noqa: E741


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"truth": "other"}, "No image is of COVID-19: AUROC, sensitivity and PPV are withheld."),
        ({"truth": "covid19"}, "Every image is of COVID-19: AUROC, specificity and NPV are withheld."),
        ({"age": np.where(I % 2 == 1, 4, 50)}, "40 of 40 images without COVID-19 are known to be of children, and 0"),
        ({"paediatric": np.where(I % 2 == 0, "yes", "")}, "0 of 40 images without COVID-19 are known to be of"),
        ({"source": "north"}, "Every image comes from one source, north: this test shows nothing"),
        ({"source": np.where(I % 2 == 0, "a", "b")}, "No source holds both COVID-19 and others"),
        ({"source": np.where(I % 2 == 0, "a", np.where(I < 40, "a", "b"))}, "b holds no COVID-19: AUROC and sens"),
        ({"source": np.where(I % 2 == 1, "a", np.where(I < 40, "a", "b"))}, "b holds only COVID-19: AUROC and spec"),
        ({"truth": np.where(I == 0, "covid19", "other")}, "COVID-19 is shown by 1 image of 1 patient only"),
        ({"truth": np.where(I < 9, "covid19", "other")}, "COVID-19 is shown by 9 images of 9 patients only: fewer"),
        ({"patient": [f"image:{k}" for k in I]}, "Every image (east and north) comes without a patient id"),
        ({"patient": ["image:0", *(f"p{k}" for k in I[1:])]}, "1 of 80 images (north) come without a patient id"),
        ({"kind": "unstated"}, "Which sources the model was trained on isn't stated"),
        (
            {"probability_covid19": np.where(I < 3, np.nan, 0.3)},
            "3 images of 80 have a probability that isn't a number",
        ),
        ({"probability_covid19": np.where(I < 3, -1.0, 0.3)}, "3 images of 80 have a probability outside 0…1"),
        ({"probability_covid19": np.where(I == 1, 0.9, 0.8)}, "have probabilities that don't sum to one"),
        (
            {"fault": np.where(I < 4, "broken", "")},
            "4 images of 80 couldn't be analysed and count nowhere (2 of COVID",
        ),
        ({"sha256": np.where(I < 2, "same", [f"{k:064}" for k in I])}, "1 image stands in the test again"),
        ({"fault": "broken"}, "No image has both a label and a prediction: every figure is withheld."),
        ({"truth": ""}, "No image has both a label and a prediction: every figure is withheld."),
    ],
)
def test_each_fault_is_named(columns: dict[str, object], sentence: str) -> None:
    assert any(sentence in notice for notice in data_warnings(make_testset(**columns))), data_warnings(
        make_testset(**columns)
    )


def test_a_class_that_never_occurs_is_named() -> None:
    three = make_testset(probability_flu=0.0)
    notices = data_warnings(TestSet(three.table, ("covid19", "other", "flu"), "covid19", three.headers))
    assert any(notice.startswith("The model knows flu, but no image here is of that class") for notice in notices)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["covid19", "other", ""]),
            st.sampled_from(["north", "east"]),
            st.sampled_from(["a", "b", "image:c"]),
            st.floats(-1, 2) | st.just(float("nan")),
            st.sampled_from(["", "broken"]),
        ),
        min_size=0,
        max_size=8,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_table_gets_sentences_each_said_once(rows: list[tuple[str, str, str, float, str]]) -> None:
    truth, source, patient, p, problem = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    columns = {"truth": truth, "source": source, "patient": patient, "fault": problem, "probability_covid19": p}
    notices = data_warnings(
        make_testset(len(rows), **{name: pd.Series(v, dtype=object) for name, v in columns.items()})
    )
    assert len(set(notices)) == len(notices)
    assert all(notice.endswith(".") for notice in notices)
