"""The flow's counts add up, and what the test lacks is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.sections.flow import EVERY_CLASS, NOT_JUDGED, flow
from lungsight.evaluation.testset.eligibility import Eligible
from lungsight.evaluation.testset.overlap import Match, Overlap
from lungsight.evaluation.testset.testset import TestSet
from lungsight.reporting.tables import section_tables

CLASSES = ("covid19", "other")
_ROW = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["north", "south"]),
        "patient": st.sampled_from(["1", "2", "3", "image:a.png"]),
        "label": st.sampled_from(["covid19", "tuberculosis"]),
        "view": st.sampled_from(["PA", "AP", ""]),
        "sex": st.sampled_from(["M", "F", ""]),
        "age": st.one_of(st.none(), st.floats(0, 100)),
        "fault": st.sampled_from(["", "", "", "can't be read"]),
    }
)


def a_test(rows: list[dict[str, object]]) -> tuple[Eligible, TestSet]:
    """The rows as eligible images; those of the south are external. One more image had no class."""
    table = pd.DataFrame(rows, columns=["source", "patient", "label", "view", "sex", "age", "fault"])
    table["path"] = [f"{i}.png" for i in range(len(table))]
    table["age"] = table["age"].astype(float)
    table["kind"] = table["source"].map({"north": "internal", "south": "external"})
    table["truth"] = table["label"].map({"covid19": "covid19", "tuberculosis": "other"})
    manifest = Manifest(table.drop(columns="fault"), "m")
    start = Manifest(
        pd.concat([manifest.table, manifest.table.head(1).assign(truth="", label="unlabelled")], ignore_index=True),
        "m",
    )
    eligible = Eligible(start, len(start), (), {})
    eligible = eligible.after("label is of no class of this model", start.table["truth"] != "")
    return eligible, TestSet(table, CLASSES, "covid19", pd.DataFrame(index=table.index))


@settings(deadline=None, max_examples=40)
@given(st.lists(_ROW, min_size=1, max_size=30))
def test_every_image_is_accounted_for(rows: list[dict[str, object]]) -> None:
    eligible, testset = a_test(rows)
    section = flow(eligible, testset)
    steps = section_tables(section)["flow"]
    assert (
        steps["remain"].to_numpy()[:-1] - steps["left_out"].to_numpy()[1:] == steps["remain"].to_numpy()[1:]
    ).all()
    assert steps["left_out"].sum() == section_tables(section)["left_out"]["images"].sum()
    assert steps["remain"].iloc[-1] == len(testset.scored)
    counts = section_tables(section)["counts"]
    for _, part in counts.groupby("property"):
        for is_all in (True, False):
            assert part.loc[(part["class"] == EVERY_CLASS) == is_all, "images"].sum() == len(testset.scored)
    assert (counts["patients"] <= counts["images"]).all()


def _rows(n: int, **changes: object) -> list[dict[str, object]]:
    row = {"source": "north", "patient": "1", "label": "covid19", "view": "PA", "sex": "M", "age": 50.0, "fault": ""}
    return [row | {"patient": str(i)} | changes for i in range(n)]


def test_what_the_test_lacks_is_said() -> None:
    rows = _rows(3) + _rows(2, patient="image:x.png", age=None, view="", label="tuberculosis", source="south")
    section = flow(*a_test(rows), split_unit="image")
    said = " ".join(section.sentences)
    assert "2 of 5 images name no patient" in said
    assert "age of 2, view (taken for frontal) of 2" in said
    assert "split single images" in said
    assert "isn't known here" in said


def test_a_test_of_unreadable_images_has_nothing_to_count() -> None:
    nothing = flow(*a_test(_rows(2, fault="can't be read")))
    assert not len(section_tables(nothing)["counts"])
    assert section_tables(nothing)["left_out"]["reason"].iloc[-1] == NOT_JUDGED


def test_the_overlap_is_listed_without_the_many_images_of_known_patients() -> None:
    eligible, testset = a_test(_rows(4))
    matches = pd.DataFrame(
        {
            "path": ["a.png", "b.png"],
            "source": "north",
            "label": "covid19",
            "how": ["same patient", "looks the same"],
            "distance": [np.nan, 3.0],
        }
    )
    nobody = np.zeros(4, dtype=bool)
    masks = {Match.PATIENT: nobody, Match.FILE: nobody, Match.LOOK_ALIKE: np.array([True, False, False, False])}
    found = Eligible(eligible.manifest, 4, (), {}, overlap=Overlap(masks, matches, 4, ("A notice.",)))
    section = flow(found, testset)
    assert list(section_tables(section)["overlap"]["path"]) == ["b.png"]
    assert section_tables(section)["overlap_counts"]["images"].sum() == 2
    assert "A notice." in section.sentences
    assert any("1 looks the same" in sentence for sentence in section.sentences)
