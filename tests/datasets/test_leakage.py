from __future__ import annotations

import pandas as pd

from lungsight.datasets.duplicates.search import DuplicatePair, Kind
from lungsight.datasets.leakage import find_leaks, leak_groups
from lungsight.datasets.manifest import Manifest


def _manifest(**columns: list[str]) -> Manifest:
    rows = pd.DataFrame(columns)
    rows["path"] = [f"{letter}.png" for letter in "abcdefgh"[: len(rows)]]
    rows["label"] = "covid19"
    return Manifest.of(rows, "mine")


def test_patient_on_two_sides():
    leaks = find_leaks(_manifest(patient=["1", "1", "2"], split=["test", "train", "train"]), [])
    assert [str(leak) for leak in leaks] == ["Patient mine/1 is in train (b.png) and in test (a.png)."]


def test_patients_of_two_sources_are_two():
    manifest = _manifest(patient=["1", "1"], source=["here", "there"], split=["test", "train"])
    assert find_leaks(manifest, []) == []


def test_study_on_two_sides():
    manifest = _manifest(patient=["1", "2", "3"], study=["x", "x", ""], split=["train", "validation", "test"])
    assert [(leak.what, leak.sides) for leak in find_leaks(manifest, [])] == [("study", ("train", "validation"))]


def test_image_on_two_sides_through_a_third_copy():
    manifest = _manifest(split=["train", "", "test"])
    pairs = [DuplicatePair(0, 1, Kind.CROPPED, 0.9), DuplicatePair(1, 2, Kind.MIRRORED, 0.9)]
    assert [(leak.what, leak.rows) for leak in find_leaks(manifest, pairs)] == [("image", (0, 2))]


def test_no_split_no_leak():
    manifest = _manifest(patient=["1", "1"])
    assert find_leaks(manifest, [DuplicatePair(0, 1, Kind.REENCODED, 0.9)]) == []


def test_groups_hold_together_what_would_leak():
    manifest = _manifest(patient=["1", "1", "2", "3", "4"], study=["", "", "s", "s", ""])
    groups = leak_groups(manifest, [DuplicatePair(1, 2, Kind.REENCODED, 0.9)])
    assert len(set(groups[:4])) == 1
    assert groups[4] != groups[0]
