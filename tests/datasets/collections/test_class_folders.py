from __future__ import annotations

import re
from pathlib import Path

import pytest

from lungsight.datasets.collection import BuildOptions
from lungsight.datasets.collections.class_folders import CLASS_FOLDERS, class_of
from lungsight.errors import CollectionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "hospital"
    for name in (
        "train/COVID/images/P1_a.png",
        "train/Normal/P2_a.png",
        "Val/COVID/P3_a.png",
        "test/Normal/deeper/still/P2_b.png",
        "train/COVID/lung masks/P1_a.png",
        "loose.png",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_folders_name_the_classes_and_the_split(folder: Path) -> None:
    build = CLASS_FOLDERS.build(folder, BuildOptions({"COVID": "covid19"}, re.compile(r"^(P\d+)_")))
    table = build.manifest.table
    assert list(table["label"]) == ["covid19", "Normal", "covid19", "Normal"]
    assert list(table["finding"]) == ["COVID", "Normal", "COVID", "Normal"]
    assert sorted(table["patient"]) == ["P1", "P2", "P2", "P3"]
    assert dict(zip(table["patient"] + table["split"], table["source"], strict=True)) == dict.fromkeys(
        ("P3validation", "P2test", "P1train", "P2train"), "hospital"
    )
    assert build.left_out == {"not in the folder of a class": 1, "in a folder of masks": 1}


def test_without_a_pattern_each_image_is_its_own_patient(folder: Path) -> None:
    table = CLASS_FOLDERS.build(folder).manifest.table
    assert list(table["patient"]) == [f"image:{Path(path).relative_to(folder)}" for path in table["path"]]
    assert table["patient"].nunique() == 4


def test_images_of_one_name_in_two_folders_are_two_patients(tmp_path: Path) -> None:
    for name in ("COVID/1.png", "Normal/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert CLASS_FOLDERS.build(tmp_path).manifest.table["patient"].nunique() == 2


@pytest.mark.parametrize(
    ("folders", "labelled", "found"),
    [
        (("train", "COVID"), (), "COVID"),
        (("hospital", "COVID"), (), "hospital"),
        (("hospital", "COVID"), ("COVID",), "COVID"),
        (("COVID", "severe"), ("COVID", "severe"), "severe"),
        (("train",), (), None),
        ((), (), None),
    ],
)
def test_which_folder_is_the_class(folders: tuple[str, ...], labelled: tuple[str, ...], found: str | None) -> None:
    assert class_of(folders, BuildOptions(dict.fromkeys(labelled, "any"))) == found


def test_a_misspelt_option_is_told(folder: Path) -> None:
    with pytest.raises(CollectionError, match="holds no image in a folder COVD; correct --label"):
        CLASS_FOLDERS.build(folder, BuildOptions({"COVD": "covid19"}))
    with pytest.raises(CollectionError, match="correct --patient"):
        CLASS_FOLDERS.build(folder, BuildOptions(patient=re.compile("Q[0-9]+")))


@pytest.mark.shared
def test_the_real_ct_collections_count(shared_data: Path) -> None:
    sarscov2 = CLASS_FOLDERS.build(shared_data / "sarscov2-ct").manifest.table
    assert sarscov2["label"].value_counts().to_dict() == {"COVID": 600, "non-COVID": 600}
    covid_ct = CLASS_FOLDERS.build(shared_data / "covid-ct").manifest.table
    assert covid_ct["label"].value_counts().to_dict() == {"CT_NonCOVID": 198, "CT_COVID": 181}
