"""Every collection of the registry is read from a small folder of its layout; the same questions for each."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lungsight.datasets.collection import Build, BuildOptions
from lungsight.datasets.collections import class_folders, ct_slices, ieee8023, kermany, nih, shenzhen_montgomery
from lungsight.datasets.manifest import LABELS
from lungsight.datasets.registry import COLLECTIONS
from lungsight.errors import CollectionError, ManifestError
from lungsight.radiograph import View

COHEN = """\
patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,date,folder,filename,url
2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,"January 22, 2020",images,a.jpg,https://www.nejm.org/doi/1
2,3,M,65,Pneumonia/Viral/COVID-19,Y,AP Supine,X-ray,2020,images,b.png,https://www.nejm.org/doi/1
3,,F,,Pneumonia/Bacterial,,AP Erect,X-ray,2019,images,c.jpeg,https://radiopaedia.org/cases/2
4,,,,Tuberculosis,,L,X-ray,,images,d.jpg,https://www.eurorad.org/case/3
5,,F,40,Pneumonia/Viral/COVID-19,Unclear,Axial,CT,2020,images,e.jpg,https://sirm.org/4
6,,F,40,todo,,PA,X-ray,2020,images,gone.jpg,https://sirm.org/5
7,,F,40,Pneumonia/Viral/COVID-19,,Axial,CT,2020,volumes,f.nii.gz,https://sirm.org/6
2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,2020,images,a.jpg,https://www.nejm.org/doi/1
"""
NIH = """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position
00000001_000.png,Cardiomegaly,0,1,57,M,PA
00000002_000.png,No Finding,0,2,80,M,PA
00000002_001.png,Infiltration|Pneumonia,1,2,81,M,AP
00000003_000.png,No Finding,0,3,414,F,
"""
STUDIES = """\
id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance
s1_study,0,1,0,0
s2_study,1,0,0,0
"""
MARKS = "id,label\naaa_image,opacity 1 10 20 40 60\nbbb_image,none 1 0 0 1 1\n"
SIZES = "imageid,patientid,studyid,height,width\naaa,p1,s1,100,200\nbbb,p1,s2,100,200\nccc,p2,s9,100,200\n"


@dataclass(frozen=True)
class Layout:
    """A small folder of a collection's layout, and what must come of it."""

    files: Sequence[str]  # empty ones
    columns: Mapping[str, Sequence[object]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    options: BuildOptions | None = None
    start: str = ""  # what is given, below the temporary folder


LAYOUTS = {
    "ieee8023": Layout(
        [
            *(f"master/images/{name}" for name in ("a.jpg", "b.png", "c.jpeg", "d.jpg", "e.jpg")),
            "master/volumes/f.nii.gz",
        ],
        {
            "label": ["covid19", "covid19", "other_pneumonia", "tuberculosis", "covid19"],
            "view": ["PA", "AP supine", "AP", "lateral", "other"],
            "reference_standard": ["RT-PCR", "RT-PCR", "publication", "publication", "publication"],
            "site": ["nejm.org", "nejm.org", "radiopaedia.org", "eurorad.org", "sirm.org"],
            "patient": ["2", "2", "3", "4", "5"],
            "study": ["2@0", "2@3", "3@2019", "", "5@2020"],
            "sex": ["M", "M", "F", "", "F"],
            "age": [65, 65, None, None, 40],
        },
        {
            "listed in metadata.csv, but the file is not there": 1,
            "a CT volume, not an image": 1,
            "listed twice in metadata.csv": 1,
        },
        {"master/metadata.csv": COHEN},
    ),
    "kermany": Layout(
        [
            "x/chest_xray/train/NORMAL/IM-0115-0001.jpeg",
            "x/chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg",
            "x/chest_xray/val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
            "x/chest_xray/test/PNEUMONIA/person1_virus_6.jpeg",
            "x/chest_xray/test/UNSURE/person2_virus_7.jpeg",
            "x/chest_xray/chest_xray/train/NORMAL/IM-0115-0001.jpeg",  # as Kaggle's archive repeats it
            "x/chest_xray/__MACOSX/train/NORMAL/IM-0115-0001.jpeg",
        ],
        {
            "label": ["no_pneumonia", "other_pneumonia", "no_pneumonia", "other_pneumonia"],
            "finding": ["normal", "bacteria", "normal", "virus"],
            "patient": ["IM-0115", "person1", "NORMAL2-IM-1427", "person1"],
            "view": ["AP"] * 4,
            "site": ["Guangzhou"] * 4,
            "age": [None] * 4,
        },
        {"in a folder other than NORMAL and PNEUMONIA": 1},
    ),
    "nih": Layout(
        [
            "images_001/images/00000001_000.png",
            "images_001/images/00000002_000.png",
            "images_002/images/00000002_001.png",
            "images_002/images/00000003_000.png",
            "images_002/images/00000009_000.png",
        ],
        {
            "label": ["no_pneumonia", "other_pneumonia", "no_pneumonia"],
            "view": ["PA", "AP", "frontal"],
            "sex": ["M", "M", "F"],
            "age": [80, 81, None],
            "patient": ["00000002", "00000002", "00000003"],
        },
        {"neither 'No Finding' nor 'Pneumonia' among its findings": 2},
        {"Data_Entry_2017_v2020.csv": NIH},
    ),
    "siim": Layout(
        [f"train/{name}.jpg" for name in ("aaa", "bbb", "ccc", "ddd")],
        {
            "label": ["covid19", "no_pneumonia"],
            "patient": ["p1", "p1"],
            "study": ["s1", "s2"],
            "view": ["frontal", "frontal"],
            "boxes": ["[[0.05, 0.2, 0.2, 0.6]]", ""],
        },
        {
            "its study is not in train_study_level.csv": 1,
            "neither in train_meta.csv nor a DICOM file with a readable header": 1,
        },
        {"train_study_level.csv": STUDIES, "train_image_level.csv": MARKS, "train_meta.csv": SIZES},
    ),
    "shenzhen-montgomery": Layout(
        [
            "ChinaSet_AllFiles/CXR_png/CHNCXR_0001_0.png",
            "ChinaSet_AllFiles/CXR_png/CHNCXR_0336_1.png",
            "MontgomerySet/CXR_png/MCUCXR_0104_1.png",
            "MontgomerySet/CXR_png/Thumbs.png",
            "MontgomerySet/ManualMask/leftMask/MCUCXR_0104_1.png",
        ],
        {
            "label": ["no_pneumonia", "tuberculosis", "tuberculosis"],
            "site": ["Shenzhen", "Shenzhen", "Montgomery"],
            "sex": ["M", "", "F"],
            "age": [45, None, 26],
            "patient": ["CHNCXR_0001", "CHNCXR_0336", "MCUCXR_0104"],
            "lung_mask": ["", "", ""],
        },
        {"its name is neither CHNCXR_nnnn_n nor MCUCXR_nnnn_n": 1},
        {
            "ChinaSet_AllFiles/ClinicalReadings/CHNCXR_0001_0.txt": "male 45yrs\nnormal\n",
            "MontgomerySet/ClinicalReadings/MCUCXR_0104_1.txt": "Patient's Sex: F\nPatient's Age: 026Y\nactive TB\n",
        },
    ),
    "sarscov2-ct": Layout(
        ["a/COVID/Covid (1).png", "a/non-COVID/Non-Covid (1).png", "a/other/x.png"],
        {"label": ["covid19", "unlabelled"], "modality": ["CT", "CT"], "view": ["other", "other"]},
        {"in a folder other than COVID and non-COVID": 1},
    ),
    "covid-ct": Layout(
        ["CT_COVID/2020.1-p1-2%0.png", "CT_COVID/2020.1-p3-4%1.png", "CT_NonCOVID/2020.1.png"],
        {
            "label": ["covid19", "covid19", "unlabelled"],
            "patient": ["CT_COVID/2020.1", "CT_COVID/2020.1", "CT_NonCOVID/2020.1"],
            "modality": ["CT"] * 3,
        },
    ),
    "covid-cxnet": Layout(
        ["a/images/1.jpg", "a/images/2.jpg", "a/images/3.jpg"],
        {
            "label": ["covid19", "covid19_without_sign", "covid19"],
            "paediatric": ["", "", "yes"],
            "patient": ["image:images/1.jpg", "image:images/2.jpg", "image:images/3.jpg"],
            "view": ["frontal"] * 3,
        },
        {"listed in metadata.csv, but the file is not there": 1},
        {
            "a/metadata.csv": "filename,finding,no_abnormality_seen,paediatric\n"
            "1.jpg,covid19,0,0\n2.jpg,covid19,1,0\n3.jpg,covid19,0,1\ngone.jpg,covid19,0,0\n"
        },
    ),
    "bones": Layout(
        ["images/00156fd9067f.jpg", "images/01402e4d4108.jpg", "images/new.jpg"],
        {"label": ["unlabelled"] * 2, "body_part": ["hand", "arm"], "view": ["other"] * 2, "split": ["train"] * 2},
        {"not an image whose part of the body is known": 1},
    ),
    "class-folders": Layout(
        [
            "hospital/train/COVID/images/P1_a.png",
            "hospital/train/Normal/P2_a.png",
            "hospital/Val/COVID/P3_a.png",
            "hospital/test/Normal/deeper/still/P2_b.png",
            "hospital/train/COVID/lung masks/P1_a.png",
            "hospital/loose.png",
        ],
        {
            "label": ["covid19", "Normal", "covid19", "Normal"],
            "finding": ["COVID", "Normal", "COVID", "Normal"],
            "patient": ["P3", "P2", "P1", "P2"],
            "split": ["validation", "test", "train", "train"],
            "source": ["hospital"] * 4,
        },
        {"not in the folder of a class": 1, "in a folder of masks": 1},
        options=BuildOptions({"COVID": "covid19"}, re.compile(r"^(P\d+)_")),
        start="hospital",
    ),
    "table": Layout(
        ["a.png"],
        {"label": ["covid19"], "source": ["mine"], "age": [40]},
        {"listed in the table, but the file is not there": 1},
        {"mine.csv": "path,label,age\na.png,covid19,40\nb.png,mine,\n"},
        start="mine.csv",
    ),
}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def build(name: str, folder: Path, options: BuildOptions | None = None) -> Build:
    return COLLECTIONS[name].build(folder, options)


def built(name: str, layout: Layout, folder: Path) -> Build:
    touch(folder, *layout.files)
    for file, text in layout.texts.items():
        touch(folder, file)
        (folder / file).write_text(text)
    return build(name, folder / layout.start, layout.options)


@pytest.mark.parametrize("name", COLLECTIONS)
class TestCollection:
    """What must be so of every collection of the registry."""

    def test_it_says_what_a_user_must_know(self, name: str) -> None:
        one = COLLECTIONS[name]
        assert all((one.title, one.licence, one.labels_rest_on, one.traps, one.layout, one.how_to_get))
        assert not one.home or one.home.startswith("https://")
        assert all(remote.url.startswith("https://") and remote.name.endswith(".zip") for remote in one.downloads)

    def test_a_folder_that_is_missing_or_another_is_one_sentence(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CollectionError, match="there is no such folder"):
            build(name, tmp_path / "nowhere")
        (tmp_path / "holiday.txt").write_text("no images here")
        with pytest.raises(CollectionError) as caught:
            build(name, tmp_path)
        assert str(caught.value).startswith(str(tmp_path))
        assert "\n" not in str(caught.value)

    def test_its_layout_becomes_the_manifest(self, name: str, tmp_path: Path) -> None:
        layout = LAYOUTS[name]
        found = built(name, layout, tmp_path)
        table = found.manifest.table.astype({"age": object}).where(found.manifest.table.notna(), None)
        for column, values in layout.columns.items():
            assert list(table[column]) == list(values), column
        assert found.left_out == layout.left_out
        assert all(Path(path).is_file() for path in table["path"])

    def test_its_labels_are_lungsights_and_ct_is_no_projection(self, name: str, tmp_path: Path) -> None:
        manifest = built(name, LAYOUTS[name], tmp_path).manifest
        assert name == "class-folders" or set(manifest.table["label"]) <= set(LABELS)
        ct = manifest.table["modality"] == "CT"
        assert not (manifest.is_projection & ct).any()
        assert not (manifest.is_frontal & ct).any()

    @pytest.mark.shared
    def test_the_real_one_counts(self, name: str, shared_data: Path) -> None:
        if name not in REAL:
            pytest.skip("a user's own")
        images, patients, labels = REAL[name]
        found = build(name, shared_data / name)
        table = found.manifest.table
        assert (len(table), table["patient"].nunique(), found.left_out) == (images, patients, {})
        assert table["label"].value_counts().to_dict() == labels
        masks = table.loc[table["lung_mask"] != "", "lung_mask"]
        assert len(masks) == (704 if name == "shenzhen-montgomery" else 0)
        assert masks.map(lambda mask: Path(mask).is_file()).all()


#: Images, patients and labels of the copies in shared/data.
REAL: Mapping[str, tuple[int, int, Mapping[str, int]]] = {
    "kermany": (710, 625, {"other_pneumonia": 400, "no_pneumonia": 310}),
    "nih": (1000, 682, {"no_pneumonia": 523, "other_pneumonia": 342, "abnormal_without_opacity": 135}),
    "siim": (3754, 1931, {"covid19": 1804, "no_pneumonia": 1036, "indeterminate": 631, "atypical": 283}),
    "shenzhen-montgomery": (704, 704, {"no_pneumonia": 359, "tuberculosis": 345}),
    "sarscov2-ct": (1200, 1200, {"covid19": 600, "unlabelled": 600}),
    "covid-ct": (379, 205, {"unlabelled": 198, "covid19": 181}),
    "covid-cxnet": (646, 646, {"covid19": 610, "covid19_without_sign": 36}),
    "bones": (358, 349, {"unlabelled": 358}),
}


@pytest.mark.shared
def test_of_the_real_clear_images_only_those_without_covid19_are_negative(shared_data: Path) -> None:
    manifest = build("ieee8023", shared_data / "ieee8023").manifest
    table = manifest.table[manifest.is_frontal & manifest.is_projection]
    assert (table["label"] == "covid19_without_sign").sum() == 12
    assert (table["label"] == "no_pneumonia").sum() == 2
    assert (manifest.table["whole_lung_mask"] != "").sum() == 425
    assert (manifest.table["zone_severity"] != "").sum() == 171


def test_a_clear_image_of_a_patient_with_covid19_is_no_negative(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}.jpg" for name in "abcd"), "lung_masks/b.png")
    header = "patientid,sex,age,finding,RT_PCR_positive,view,modality,filename,url\n"
    rows = ["1,,,No Finding,Y", "2,,,No Finding,", "2,,,Pneumonia/Viral/COVID-19,", "3,,,No Finding,Unclear"]
    lines = [f"{row},PA,X-ray,{name}.jpg,https://x.org\n" for row, name in zip(rows, "abcd", strict=True)]
    (tmp_path / "metadata.csv").write_text(header + "".join(lines))
    scores = ",".join(f"{reader}-{zone}" for reader in "SJ" for zone in "ABCDEF")
    (tmp_path / "brixia_scores.csv").write_text(f"filename,{scores}\nb.jpg,0,1,2,3,0,0,0,1,2,3,3,1\n")
    table = build("ieee8023", tmp_path).manifest.table
    assert list(table["label"]) == ["covid19_without_sign", "covid19_without_sign", "covid19", "no_pneumonia"]
    assert list(table["whole_lung_mask"]) == ["", str(tmp_path / "lung_masks/b.png"), "", ""]
    assert json.loads(table["zone_severity"][1]) == [0, 1, 2, 3, 1.5, 0.5]


def test_what_radiologists_read_replaces_what_software_read_in_the_report(tmp_path: Path) -> None:
    names = [f"{folder}/0000000{i}_000.png" for i, folder in enumerate(["Pneumonia"] * 3 + ["No_findings"] * 2, 1)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (200, 100)).save(tmp_path / name)
    (tmp_path / "rsna_labels.csv").write_text(
        "file,radiologists_class,boxes_xywh\n"
        f"{names[0]},Normal,\n{names[1]},No Lung Opacity / Not Normal,\n"
        f'{names[3]},Lung Opacity,"20,10,100,30;0,50,40,50"\n'
    )
    table = build("nih", tmp_path).manifest.table.set_index("patient")
    of = table.loc["00000004"]
    assert (of["label"], of["reference_standard"]) == ("other_pneumonia", "radiologist")
    assert json.loads(of["boxes"]) == [[0.1, 0.1, 0.6, 0.4], [0, 0.5, 0.2, 1]]
    assert table["label"].drop("00000004").to_dict() == {
        "00000001": "no_pneumonia",
        "00000002": "abnormal_without_opacity",
        "00000003": "other_pneumonia",
        "00000005": "no_pneumonia",
    }
    (tmp_path / "rsna_labels.csv").write_text(f"file,radiologists_class,boxes_xywh\n{names[0]},Fine,\n")
    with pytest.raises(CollectionError, match="isn't one of RSNA's"):
        build("nih", tmp_path)


def test_the_older_tables_are_read_too(tmp_path: Path) -> None:
    march = "patientid,sex,age,finding,view,modality,date,filename,url\n"
    touch(tmp_path, "cohen/images/a.jpg", "nih/images/00000002_000.jpg")
    (tmp_path / "cohen/metadata.csv").write_text(march + "2,M,65,COVID-19,PA,X-ray,2020,a.jpg,https://x.org/1\n")
    row = build("ieee8023", tmp_path / "cohen").manifest.table.iloc[0]
    assert (row["label"], row["reference_standard"], row["study"]) == ("covid19", "publication", "2@2020")
    table = NIH.replace("Patient Gender", "Patient Sex").replace(",80,", ",080Y,")
    (tmp_path / "nih/Data_Entry_2017.csv").write_text(table)
    row = build("nih", tmp_path / "nih").manifest.table.iloc[0]
    assert (row["age"], row["sex"], row["view"]) == (80, "M", "PA")


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("filename,finding\na.jpg,COVID-19\n")
    with pytest.raises(CollectionError, match="lacks the column patientid and sex"):
        build("ieee8023", tmp_path)


def test_nih_class_folders_need_no_table(tmp_path: Path) -> None:
    touch(tmp_path, "No_findings/00000005_000.jpg", "Pneumonia/00000006_000.jpg", "Effusion/00000007_000.jpg")
    found = build("nih", tmp_path)
    assert list(found.manifest.table["label"]) == ["no_pneumonia", "other_pneumonia"]
    assert set(found.manifest.table["view"]) == {"frontal"}
    assert sum(found.left_out.values()) == 1


def test_nih_takes_views_from_a_packed_table_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, "nih/No_findings/00000002_000.jpg", "nih/Pneumonia/00000002_001.jpg")
    table = tmp_path / "Data_Entry_2017_v2020.csv.gz"
    table.write_bytes(gzip.compress(NIH.encode()))
    options = BuildOptions(nih_table=table)
    found = COLLECTIONS["nih"].build(tmp_path / "nih", options).manifest.table
    assert list(found["view"]) == ["PA", "AP"]
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(CollectionError, match="gzip"):
        COLLECTIONS["nih"].build(tmp_path / "nih", options)


def test_shenzhen_masks_are_found_by_either_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "CXR_png/CHNCXR_0001_0.png", "CXR_png/MCUCXR_0001_0.png")
    masks = [tmp_path / "masks/CHNCXR_0001_0_mask.png", tmp_path / "masks/MCUCXR_0001_0.png"]
    touch(tmp_path, *map(str, masks))
    table = build("shenzhen-montgomery", tmp_path).manifest.table
    assert list(table["lung_mask"]) == [str(mask) for mask in masks]


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        ("COVID-19", "covid19"),
        ("COVID-19, ARDS", "covid19"),
        ("Pneumonia/Viral/COVID-19", "covid19"),
        ("Pneumonia/Viral/SARS", "other_pneumonia"),
        ("Pneumonia", "other_pneumonia"),
        ("Tuberculosis", "tuberculosis"),
        ("No Finding", "no_pneumonia"),
        ("ARDS", "unlabelled"),
    ],
)
def test_cohens_findings_become_labels(finding: str, label: str) -> None:
    assert ieee8023.label_of(finding) == label


@pytest.mark.parametrize(
    ("finding", "label"),
    [("No Finding", "no_pneumonia"), ("Edema|Pneumonia", "other_pneumonia"), ("Effusion", None), ("", None)],
)
def test_nihs_findings_become_labels(finding: str, label: str | None) -> None:
    assert nih.label_of(finding) == label


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
def test_kermanys_names_hold_patient_and_kind(stem: str, patient: str, finding: str) -> None:
    assert kermany.patient_and_finding(stem) == (patient, finding)


@pytest.mark.parametrize(
    ("stem", "origin"),
    [
        ("2020.02.25.20021568-p23-108%11", "2020.02.25.20021568"),
        ("2020.03.01.20029769-p21-73_1%0", "2020.03.01.20029769"),
        ("med-9780198814924-chapter-17-p10-515", "med-9780198814924-chapter-17"),
        ("PIIS0140673620301549_2", "PIIS0140673620301549_2"),
        ("10%0", "10"),
        ("1029", "1029"),
    ],
)
def test_covid_ct_names_hold_the_paper_or_figure(stem: str, origin: str) -> None:
    assert ct_slices.origin_of(stem) == origin


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
    assert shenzhen_montgomery.sex_and_age(reading) == (sex, age)


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
    assert class_folders.class_of(folders, BuildOptions(dict.fromkeys(labelled, "any"))) == found


def test_without_a_pattern_each_image_is_its_own_patient(tmp_path: Path) -> None:
    touch(tmp_path, "COVID/1.png", "Normal/1.png")
    assert list(build("class-folders", tmp_path).manifest.table["patient"]) == [
        "image:COVID/1.png",
        "image:Normal/1.png",
    ]


def test_an_option_that_fits_no_folder_or_name_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "COVID/1.png")
    with pytest.raises(CollectionError, match="holds no image in a folder COVD; correct --label"):
        build("class-folders", tmp_path, BuildOptions({"COVD": "covid19"}))
    with pytest.raises(CollectionError, match="correct --patient"):
        build("class-folders", tmp_path, BuildOptions(patient=re.compile("Q[0-9]+")))


def test_a_table_of_parquet_is_read_and_a_wrong_one_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    pd.DataFrame({"path": ["a.png"], "label": ["covid19"], "age": ["40"]}).to_parquet(tmp_path / "mine.parquet")
    assert list(build("table", tmp_path / "mine.parquet").manifest.table["path"]) == [str(tmp_path / "a.png")]
    (tmp_path / "mine.csv").write_text("path,label\nx.png,covid19\n")
    with pytest.raises(CollectionError, match=r"none of its 1 images is there .*x\.png"):
        build("table", tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text("path,label,age\na.png,covid19,40\nb.png,covid19,old\n")
    with pytest.raises(ManifestError, match="row 3: age is not a number"):
        build("table", tmp_path / "mine.csv")
    with pytest.raises(CollectionError, match="a folder, not a table"):
        build("table", tmp_path)


@pytest.mark.shared
def test_the_real_ieee8023_holds_the_articles_images(shared_data: Path) -> None:
    found = build("ieee8023", shared_data / "ieee8023")
    table = found.manifest.table
    assert (len(table), found.left_out) == (737, {})
    frontal = table["view"].map({str(view): view.is_frontal for view in View}) & (table["modality"] == "X-ray")
    usable = table[frontal & (table["label"] != "unlabelled")]
    assert usable["label"].value_counts().to_dict() == {
        "covid19": 392,
        "other_pneumonia": 179,
        "covid19_without_sign": 12,  # No Finding, of patients with COVID-19
        "tuberculosis": 10,
        "no_pneumonia": 2,
    }
    article = pd.read_csv(shared_data / "ieee8023/article_2020-03.csv")
    in_article = table[table["path"].map(lambda path: Path(path).name).isin(article["filename"])]
    # Taken as PA in March 2020; the collection has corrected many since.
    assert in_article["view"].value_counts().to_dict() == {"PA": 33, "AP": 20, "AP supine": 4}
    assert (in_article["label"] == "covid19").sum() == 34
