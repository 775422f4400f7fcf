from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from lungsight.datasets.collections.siim import boxes_of
from lungsight.datasets.registry import COLLECTIONS
from lungsight.errors import CollectionError

SIIM = COLLECTIONS["siim"]
IMAGES = """\
id,boxes,label,StudyInstanceUID
aaa_image,"[{'x': 10, 'y': 20, 'width': 30, 'height': 40}]",opacity 1 10 20 40 60 opacity 1 50 0 100 50.5,s1
bbb_image,,none 1 0 0 1 1,s2
ccc_image,,none 1 0 0 1 1,s9
"""
STUDIES = """\
id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance
s1_study,0,1,0,0
s2_study,1,0,0,0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train").mkdir()
    (tmp_path / "train_image_level.csv").write_text(IMAGES)
    (tmp_path / "train_study_level.csv").write_text(STUDIES)
    return tmp_path


def write_dicom(path: Path, **header: object) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    image.PixelData = np.zeros((4, 8), np.uint8).tobytes()
    for name, value in header.items():
        setattr(image, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, image)


def test_the_original_takes_sizes_and_patients_from_its_headers(root: Path) -> None:
    header = {"Rows": 100, "Columns": 200, "PatientID": "p7", "Modality": "DX", "PatientSex": "F"}
    write_dicom(root / "train/s1/series/aaa.dcm", **header, ViewPosition="AP")
    write_dicom(root / "train/s2/series/bbb.dcm", **header, ViewPosition="")
    (root / "train/s2/series/torn.dcm").write_bytes(b"torn")
    build = SIIM.build(root)
    table = build.manifest.table
    assert list(table["view"]) == ["AP", "frontal"]
    assert list(table["study"]) == ["s1", "s2"]
    assert set(table["patient"]) == {"p7"}
    assert set(table["modality"]) == {"DX"}
    assert set(table["sex"]) == {"F"}
    assert json.loads(table["boxes"][0])[0] == [0.05, 0.2, 0.2, 0.6]
    assert build.left_out == {"neither in train_meta.csv nor a DICOM file with a readable header": 1}


@pytest.mark.parametrize("seed", range(10))
def test_a_torn_header_is_left_out_never_an_error(root: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    write_dicom(root / "train/s2/series/whole.dcm", Rows=100, Columns=200, PatientID="p8")
    content = np.fromfile(root / "train/s2/series/whole.dcm", np.uint8)
    (root / "train/s1/series").mkdir(parents=True)
    for number in range(20):
        torn = content.copy()
        torn[rng.integers(128, len(torn), size=4)] = rng.integers(0, 256, size=4)
        torn[: rng.integers(130, len(torn))].tofile(root / f"train/s1/series/{number}.dcm")
    build = SIIM.build(root)
    assert len(build.manifest) + sum(build.left_out.values()) == 21
    assert build.left_out


def test_boxes_beyond_the_edge_end_at_it() -> None:
    assert boxes_of("opacity 1 -5 10 220 110", height=100, width=200) == [[0.0, 0.1, 1.0, 1.0]]
    assert boxes_of("none 1 0 0 1 1", height=100, width=200) == []
    assert boxes_of("", height=100, width=200) == []


def test_a_study_of_two_appearances_is_refused(root: Path) -> None:
    (root / "train_study_level.csv").write_text(STUDIES.replace("s2_study,1,0", "s2_study,1,1"))
    with pytest.raises(CollectionError, match="none or several of the four appearances"):
        SIIM.build(root)


@pytest.mark.shared
def test_the_real_boxes_are_all_there(shared_data: Path) -> None:
    table = SIIM.build(shared_data / "siim").manifest.table
    marks = pd.read_csv(shared_data / "siim/train_image_level.csv")
    drawn = marks[marks["label"].str.startswith("opacity")]
    boxes = table.loc[table["boxes"] != "", "boxes"].map(json.loads)
    present = drawn["id"].str.removesuffix("_image").isin(table["path"].map(lambda path: Path(path).stem))
    assert len(boxes) == present.sum()
    corners = np.array([box for image in boxes for box in image])
    assert len(corners) == drawn.loc[present, "label"].str.count("opacity").sum()
    assert corners.min() >= 0
    assert corners.max() <= 1
    assert (corners[:, :2] < corners[:, 2:]).all()
