from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lungsight.datasets.check import age_groups, check_manifest


def test_age_groups():
    ages = pd.Series([0.0, 5.9, 6, 17.5, 18, 39, 40, 64.9, 65, 120, float("nan")])
    expected = ["0–5", "0–5", "6–17", "6–17", "18–39", "18–39", "40–64", "40–64", "65+", "65+", "unknown"]
    assert list(age_groups(ages)) == expected


@pytest.fixture
def troubled(films, collection):
    manifest = collection(
        [films[0], films[1], films[0], films[2]],
        split=["train", "train", "test", "test"],
        source=["here", "here", "there", "there"],
        view=["PA", "AP", "", ""],
    )
    Path(manifest.table["path"][3]).write_bytes(b"\xff\xd8 broken")
    return manifest


def test_check_counts_and_finds(troubled, tmp_path):
    found = check_manifest(troubled, cache=tmp_path / "cache")
    assert found.counts["source"] == {"here": 2, "there": 2}
    assert found.counts["view"] == {"unknown": 2, "PA": 1, "AP": 1}
    assert found.counts["age group"] == {"unknown": 4}
    assert found.pairs_by_place() == {("here", "there"): {"identical file": 1}}
    assert [leak.what for leak in found.leaks] == ["image"]
    assert len(found.unreadable) == 1
    assert found.exit_status == 4
    table = found.pairs_table()
    assert table.loc[0, ["kind", "first_source", "second_split"]].tolist() == ["identical file", "here", "test"]


def test_status_without_leaks(troubled, films, tmp_path):
    unsplit = troubled.with_columns(split="")
    assert check_manifest(unsplit, cache=tmp_path / "cache").exit_status == 1
    whole = unsplit.where(unsplit.table["path"].str.contains("00[012]"))
    assert check_manifest(whole, cache=tmp_path / "cache").exit_status == 0


def test_its_sentence_names_leaks_copies_and_unreadable_files(troubled, tmp_path):
    found = check_manifest(troubled, cache=tmp_path / "cache")
    assert found.to_json()["sentence"] == found.sentence
    leaks, copies, unread = found.sentence.split(". ")
    assert leaks.startswith("1 image is on several sides of the split")
    assert copies == "1 pair of files holds the same image, 1 of them from two sources"
    assert unread.startswith("1 file")


def test_without_a_split_it_says_what_a_split_must_keep_together(films, collection, tmp_path):
    whole = collection([films[0], films[1], films[2]], patient=["a", "a", "b"])
    assert check_manifest(whole, cache=tmp_path / "cache").sentence == (
        "1 of 2 patients have several images: split by patient."
    )
    alone = whole.where(whole.table["patient"] == "b")
    assert check_manifest(alone, cache=tmp_path / "cache").sentence == ""
    copies = collection([films[0], films[0]])
    assert "a split must keep both on one side" in check_manifest(copies, cache=tmp_path / "cache").sentence
