from __future__ import annotations

from pathlib import Path

import pytest

from lungsight.datasets.collections.shenzhen_montgomery import SHENZHEN_MONTGOMERY, sex_and_age


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_archives_own_layout_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "ChinaSet_AllFiles/CXR_png/CHNCXR_0001_0.png", "ChinaSet_AllFiles/CXR_png/CHNCXR_0336_1.png")
    touch(tmp_path, "MontgomerySet/CXR_png/MCUCXR_0104_1.png", "MontgomerySet/ManualMask/leftMask/MCUCXR_0104_1.png")
    touch(tmp_path, "MontgomerySet/CXR_png/Thumbs.png")
    for path, text in {
        "ChinaSet_AllFiles/ClinicalReadings/CHNCXR_0001_0.txt": "male 45yrs\nnormal\n",
        "MontgomerySet/ClinicalReadings/MCUCXR_0104_1.txt": "Patient's Sex: F\nPatient's Age: 026Y\nactive TB\n",
    }.items():
        touch(tmp_path, path)
        (tmp_path / path).write_text(text)
    build = SHENZHEN_MONTGOMERY.build(tmp_path)
    table = build.manifest.table
    assert list(table["label"]) == ["no_pneumonia", "tuberculosis", "tuberculosis"]
    assert list(table["site"]) == ["Shenzhen", "Shenzhen", "Montgomery"]
    assert list(table["sex"]) == ["M", "", "F"]
    assert table["age"].fillna(-1).tolist() == [45, -1, 26]
    assert list(table["patient"]) == ["CHNCXR_0001", "CHNCXR_0336", "MCUCXR_0104"]
    assert set(table["lung_mask"]) == {""}
    assert build.left_out == {"its name is neither CHNCXR_nnnn_n nor MCUCXR_nnnn_n": 1}


def test_masks_are_found_by_either_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "CXR_png/CHNCXR_0001_0.png", "CXR_png/MCUCXR_0001_0.png")
    touch(tmp_path, "masks/CHNCXR_0001_0_mask.png", "masks/MCUCXR_0001_0.png")
    table = SHENZHEN_MONTGOMERY.build(tmp_path).manifest.table
    assert list(table["lung_mask"]) == [
        str(tmp_path / "masks/CHNCXR_0001_0_mask.png"),
        str(tmp_path / "masks/MCUCXR_0001_0.png"),
    ]


@pytest.mark.parametrize(
    ("reading", "sex", "age"),
    [
        ("male 45yrs\nnormal", "M", 45),
        ("Female,24 yrs\r\nright PTB", "F", 24),
        ("female , 6 months", "F", 0.5),
        ("Patient's Sex: M\nPatient's Age: 008Y", "M", 8),
        ("normal", "", ""),
        ("", "", ""),
    ],
)
def test_clinical_readings(reading: str, sex: str, age: float | str) -> None:
    assert sex_and_age(reading) == (sex, age)


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    build = SHENZHEN_MONTGOMERY.build(shared_data / "shenzhen-montgomery")
    table = build.manifest.table
    assert (len(table), build.left_out) == (704, {})
    assert table["label"].value_counts().to_dict() == {"no_pneumonia": 359, "tuberculosis": 345}
    assert table["site"].value_counts().to_dict() == {"Shenzhen": 566, "Montgomery": 138}
    assert table["lung_mask"].map(lambda mask: Path(mask).is_file()).all()
    assert table["patient"].nunique() == 704
