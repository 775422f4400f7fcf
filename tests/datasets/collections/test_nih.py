from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collections.nih import NIH, label_of

OFFICIAL = """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height]
00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749
00000002_000.png,No Finding,0,2,80,M,PA,2500,2048
00000002_001.png,Infiltration|Pneumonia,1,2,81,M,AP,2500,2048
00000003_000.png,No Finding,0,3,414,F,,2500,2048
"""


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_official_layout_gives_view_age_and_sex(tmp_path: Path) -> None:
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text(OFFICIAL)
    touch(tmp_path, "images_001/images/00000001_000.png", "images_001/images/00000002_000.png")
    touch(tmp_path, "images_002/images/00000002_001.png", "images_002/images/00000003_000.png")
    touch(tmp_path, "images_002/images/00000009_000.png")
    build = NIH.build(tmp_path)
    table = build.manifest.table
    assert list(table["label"]) == ["no_pneumonia", "other_pneumonia", "no_pneumonia"]
    assert list(table["view"]) == ["PA", "AP", "frontal"]
    assert list(table["sex"]) == ["M", "M", "F"]
    assert table["age"].tolist()[:2] == [80, 81]
    assert table["age"].isna().tolist() == [False, False, True]
    assert list(table["patient"]) == ["00000002", "00000002", "00000003"]
    assert build.left_out == {"neither 'No Finding' nor 'Pneumonia' among its findings": 2}


def test_the_table_of_2017_with_its_own_ages_and_headings_is_read(tmp_path: Path) -> None:
    table = OFFICIAL.replace("Patient Gender", "Patient Sex").replace(",80,", ",080Y,")
    (tmp_path / "Data_Entry_2017.csv").write_text(table)
    touch(tmp_path, "images/00000002_000.jpg")
    row = NIH.build(tmp_path).manifest.table.iloc[0]
    assert (row["age"], row["sex"], row["view"]) == (80, "M", "PA")


def test_class_folders_need_no_table(tmp_path: Path) -> None:
    touch(tmp_path, "No_findings/00000005_000.jpg", "Pneumonia/00000006_000.jpg", "Effusion/00000007_000.jpg")
    build = NIH.build(tmp_path)
    assert list(build.manifest.table["label"]) == ["no_pneumonia", "other_pneumonia"]
    assert set(build.manifest.table["view"]) == {"frontal"}
    assert build.left_out == {"neither 'No Finding' nor 'Pneumonia' among its findings": 1}


@pytest.mark.parametrize(
    ("finding", "label"),
    [("No Finding", "no_pneumonia"), ("Edema|Pneumonia", "other_pneumonia"), ("Effusion", None), ("", None)],
)
def test_findings_become_labels(finding: str, label: str | None) -> None:
    assert label_of(finding) == label


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    build = NIH.build(shared_data / "nih")
    table = build.manifest.table
    assert table["label"].value_counts().to_dict() == {"no_pneumonia": 500, "other_pneumonia": 500}
    assert (table["patient"].nunique(), build.left_out) == (682, {})
    assert table["patient"].str.fullmatch(r"\d{8}").all()
