from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lungsight.datasets.collections.ieee8023 import IEEE8023, label_of
from lungsight.errors import CollectionError
from lungsight.radiograph import View

HEADER = "patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,date,folder,filename,url\n"
ROWS = """\
2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,"January 22, 2020",images,a.jpg,https://www.nejm.org/doi/1
2,3,M,65,Pneumonia/Viral/COVID-19,Y,AP Supine,X-ray,2020,images,b.png,https://www.nejm.org/doi/1
3,,F,,Pneumonia/Bacterial,,AP Erect,X-ray,2019,images,c.jpeg,https://radiopaedia.org/cases/2
4,,,,Tuberculosis,,L,X-ray,,images,d.jpg,https://www.eurorad.org/case/3
5,,F,40,Pneumonia/Viral/COVID-19,Unclear,Axial,CT,2020,images,e.jpg,https://sirm.org/4
6,,F,40,todo,,PA,X-ray,2020,images,gone.jpg,https://sirm.org/5
7,,F,40,Pneumonia/Viral/COVID-19,,Axial,CT,2020,volumes,f.nii.gz,https://sirm.org/6
2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,2020,images,a.jpg,https://www.nejm.org/doi/1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "covid-chestxray-dataset-master"
    for name in ("images/a.jpg", "images/b.png", "images/c.jpeg", "images/d.jpg", "images/e.jpg", "volumes/f.nii.gz"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "metadata.csv").write_text(HEADER + ROWS)
    return tmp_path


def test_rows_with_an_image_become_the_manifest_and_the_others_a_reason(folder: Path) -> None:
    build = IEEE8023.build(folder)
    table = build.manifest.table
    assert [Path(path).name for path in table["path"]] == ["a.jpg", "b.png", "c.jpeg", "d.jpg", "e.jpg"]
    assert list(table["label"]) == ["covid19", "covid19", "other_pneumonia", "tuberculosis", "covid19"]
    assert list(table["view"]) == ["PA", "AP supine", "AP", "lateral", "other"]
    assert list(table["reference_standard"]) == ["RT-PCR", "RT-PCR", "publication", "publication", "publication"]
    assert list(table["site"]) == ["nejm.org", "nejm.org", "radiopaedia.org", "eurorad.org", "sirm.org"]
    assert list(table["patient"]) == ["2", "2", "3", "4", "5"]
    assert list(table["study"]) == ["2@0", "2@3", "3@2019", "", "5@2020"]
    assert list(table["sex"]) == ["M", "M", "F", "", "F"]
    assert table["age"].tolist()[:2] == [65, 65]
    assert table["age"].isna().tolist() == [False, False, True, True, False]
    assert build.left_out == {
        "listed in metadata.csv, but the file is not there": 1,
        "a CT volume, not an image": 1,
        "listed twice in metadata.csv": 1,
    }


def test_the_table_of_march_2020_without_pcr_is_read_too(folder: Path) -> None:
    path = next(folder.rglob("metadata.csv"))
    old = "patientid,sex,age,finding,view,modality,date,filename,url\n2,M,65,COVID-19,PA,X-ray,2020,a.jpg,https://x.org/1\n"
    path.write_text(old)
    row = IEEE8023.build(folder).manifest.table.iloc[0]
    assert (row["label"], row["reference_standard"], row["study"]) == ("covid19", "publication", "2@2020")


def test_a_table_without_its_columns_is_refused(folder: Path) -> None:
    next(folder.rglob("metadata.csv")).write_text("filename,finding\na.jpg,COVID-19\n")
    with pytest.raises(CollectionError, match="lacks the column patientid and sex"):
        IEEE8023.build(folder)


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
        ("todo", "unlabelled"),
        ("ARDS", "unlabelled"),
    ],
)
def test_findings_become_labels(finding: str, label: str) -> None:
    assert label_of(finding) == label


@pytest.mark.shared
def test_the_real_collection_counts(shared_data: Path) -> None:
    build = IEEE8023.build(shared_data / "ieee8023")
    table = build.manifest.table
    assert (len(table), build.left_out) == (737, {})
    frontal = table["view"].map({str(view): view.is_frontal for view in View}) & (table["modality"] == "X-ray")
    usable = table[frontal & (table["label"] != "unlabelled")]
    covid = usable[usable["label"] == "covid19"]
    assert (len(usable), len(covid), covid["patient"].nunique()) == (595, 392, 244)
    assert usable["label"].value_counts().to_dict() == {
        "covid19": 392,
        "other_pneumonia": 179,
        "no_pneumonia": 14,
        "tuberculosis": 10,
    }
    article = pd.read_csv(shared_data / "ieee8023/article_2020-03.csv")
    in_article = table[table["path"].map(lambda path: Path(path).name).isin(article["filename"])]
    assert len(in_article) == 57
    # Taken as PA in March 2020; the collection has corrected many since.
    assert in_article["view"].value_counts().to_dict() == {"PA": 33, "AP": 20, "AP supine": 4}
    assert (in_article["label"] == "covid19").sum() == 34
