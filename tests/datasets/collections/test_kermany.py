from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collections.kermany import KERMANY, patient_and_finding


@pytest.mark.parametrize(
    ("stem", "patient", "finding"),
    [
        ("person1003_virus_1685", "person1003", "virus"),
        ("person1006_bacteria_2937", "person1006", "bacteria"),
        ("IM-0001-0001", "IM-0001", ""),
        ("IM-0119-0001-0002", "IM-0119", ""),
        ("NORMAL2-IM-0383-0001", "NORMAL2-IM-0383", ""),
        ("NORMAL2-IM-0383-0001-0002", "NORMAL2-IM-0383", ""),
        ("BACTERIA-1008087-0001", "1008087", "bacteria"),
        ("NORMAL-1003233-0001", "1003233", "normal"),
        ("holiday", "", ""),
    ],
)
def test_a_name_tells_patient_and_kind(stem: str, patient: str, finding: str) -> None:
    assert patient_and_finding(stem) == (patient, finding)


def test_the_three_folders_are_read_as_one(tmp_path: Path) -> None:
    root = tmp_path / "ChestXRay2017" / "chest_xray"
    for name in (
        "train/NORMAL/IM-0115-0001.jpeg",
        "train/PNEUMONIA/person1_bacteria_1.jpeg",
        "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
        "test/PNEUMONIA/person1_virus_6.jpeg",
        "test/UNSURE/person2_virus_7.jpeg",
        "chest_xray/train/NORMAL/IM-0115-0001.jpeg",  # as Kaggle's archive repeats it
        "__MACOSX/train/NORMAL/IM-0115-0001.jpeg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    build = KERMANY.build(tmp_path)
    table = build.manifest.table
    assert list(table["label"]) == ["no_pneumonia", "other_pneumonia", "no_pneumonia", "other_pneumonia"]
    assert list(table["finding"]) == ["normal", "bacteria", "normal", "virus"]
    assert list(table["patient"]) == ["IM-0115", "person1", "NORMAL2-IM-1427", "person1"]
    assert set(table["view"]) == {"AP"}
    assert set(table["site"]) == {"Guangzhou"}
    assert table["age"].isna().all()
    assert build.left_out == {"in a folder other than NORMAL and PNEUMONIA": 1}


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    build = KERMANY.build(shared_data / "kermany")
    table = build.manifest.table
    assert (len(table), build.left_out) == (710, {})
    assert table["finding"].value_counts().to_dict() == {"normal": 310, "bacteria": 220, "virus": 180}
    assert table["patient"].nunique() == 625
    assert not table["patient"].str.startswith("image:").any()
