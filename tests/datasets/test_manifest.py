from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lungsight.datasets.manifest import COLUMNS, Manifest
from lungsight.errors import ManifestError


def rows(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"path": ["a.png", "b/c.png"], "label": ["covid19", "no_pneumonia"]} | columns)


def test_a_manifest_has_every_column_whatever_the_table_had(tmp_path: Path) -> None:
    manifest = Manifest.of(rows(extra=[1, 2]), "mine", tmp_path)
    assert list(manifest.table.columns) == list(COLUMNS)
    assert list(manifest.table["path"]) == [str(tmp_path / "a.png"), str(tmp_path / "b/c.png")]
    assert list(manifest.table["source"]) == ["mine", "mine"]
    assert list(manifest.table["patient"]) == ["image:a.png", "image:b/c.png"]
    assert list(manifest.patient_key) == ["mine/image:a.png", "mine/image:b/c.png"]
    assert manifest.table["age"].isna().all()
    assert set(manifest.table["view"]) == {""}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"view": ["PA", "sideways"]}, r"row 3: view must be one of PA, AP.*\(found 'sideways'\)"),
        ({"sex": ["F", "female"]}, r"row 3: sex must be one of M, F, O \(found 'female'\)"),
        ({"split": ["val", "train"]}, r"row 2: split must be one of train, validation, test \(found 'val'\)"),
        ({"age": ["40", "old"]}, r"row 3: age is not a number \(found 'old'\)"),
        ({"age": ["-1", "130"]}, "row 2, 3: age must be between 0 and 120"),
        ({"path": ["a.png", None]}, "row 3: path is empty"),
        ({"path": ["a.png", "b\0.png"]}, "row 3: path holds a zero byte"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(columns: dict[str, list[object]], sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        Manifest.of(rows(**columns), "mine")


def test_many_wrong_rows_are_counted_not_listed() -> None:
    table = pd.DataFrame({"path": ["a.png"] * 9, "label": ["covid19"] * 9, "age": ["x"] * 9})
    with pytest.raises(ManifestError, match="row 2, 3, 4, 5, 6 and 4 more: age is not a number"):
        Manifest.of(table, "mine")


def test_missing_columns_and_empty_tables_are_told() -> None:
    with pytest.raises(ManifestError, match="lacks the column label; `lungsight data describe table`"):
        Manifest.of(pd.DataFrame({"path": ["a.png"]}), "mine")
    with pytest.raises(ManifestError, match="holds no images"):
        Manifest.of(pd.DataFrame({"path": [], "label": []}), "mine")


@pytest.mark.parametrize(
    "content",
    [
        b"path,label,age\na.png,covid19,40\n",
        b"\xef\xbb\xbfpath,label,age\r\na.png,covid19,40\r\n",  # as Excel saves CSV UTF-8
        b"path;label;age\na.png;covid19;40\n",  # as Excel saves CSV where the comma is the decimal mark
        b"path\tlabel\tage\na.png\tcovid19\t40\n",
        b'"path","label","age"\n" a.png ","covid19","40"\n',
    ],
)
def test_what_spreadsheets_save_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    row = Manifest.read(tmp_path / "mine.csv").table.iloc[0]
    assert (row["path"], row["label"], row["age"]) == (str(tmp_path / "a.png"), "covid19", 40.0)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", b"path,label\n\x81\x8d,covid19\n", "isn't UTF-8, nor Windows-1252"),
        ("x.parquet", b"not parquet", "not a readable table"),
        ("x.csv", b"", "the file is empty"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=sentence) as caught:
        Manifest.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such file"):
        Manifest.read(tmp_path / "x.csv")


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Zs", "Cs")), min_size=1)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@example(label="NULL", finding="0", age=None)
@settings(max_examples=40, deadline=None)
@given(label=_TEXT, finding=_TEXT, age=st.floats(0, 120) | st.none())
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, ending: str, label: str, finding: str, age: float | None
) -> None:
    folder = tmp_path_factory.mktemp("written")
    written = Manifest.of(rows(label=[label, "covid19"], finding=["", finding], age=[age, None]), "mine", folder)
    written.write(folder / f"mine.{ending}")
    pd.testing.assert_frame_equal(Manifest.read(folder / f"mine.{ending}").table, written.table)
    assert sorted(p.name for p in folder.iterdir()) == [f"mine.{ending}"]


def test_a_manifest_moves_together_with_its_images(tmp_path: Path) -> None:
    Manifest.of(rows(), "mine", tmp_path / "here").write(tmp_path / "here/mine.csv")
    (tmp_path / "here").rename(tmp_path / "there")
    assert Manifest.read(tmp_path / "there/mine.csv").table["path"][0] == str(tmp_path / "there/a.png")


def test_choosing_joining_and_changing(tmp_path: Path) -> None:
    first, second = Manifest.of(rows(), "one", tmp_path), Manifest.of(rows(), "two", tmp_path)
    joined = Manifest.joined([first, second], "both")
    assert (len(joined), joined.name) == (4, "both")
    covid = joined.where(joined.table["label"] == "covid19")
    assert list(covid.table.index) == [0, 1]
    assert list(covid.table["source"]) == ["one", "two"]
    assert list(covid.with_columns(split="train").table["split"]) == ["train", "train"]
    assert set(covid.table["split"]) == {""}


def test_a_fault_names_the_file_a_person_gave(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("path,label,age\na.png,covid19,old\n")
    with pytest.raises(ManifestError, match=f"^{table}: row 2: age is not a number"):
        Manifest.read(table)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    with pytest.raises(ManifestError, match="the file is empty"):
        Manifest.read(tmp_path / "mine.csv")


def test_a_folder_whose_name_is_no_utf8_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"odd\xff")
    folder.mkdir()
    (folder / "films.csv").write_text("path,label\na.png,covid19\n")
    with pytest.raises(ManifestError, match="isn't UTF-8; rename the folder"):
        Manifest.read(folder / "films.csv")


def test_headers_in_any_case_with_spaces_are_the_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(' PATH ,Label,"Reference Standard",AGE\na.png,covid19,RT-PCR,"61,5"\n')
    row = Manifest.read(tmp_path / "mine.csv").table.iloc[0]
    assert (row["label"], row["reference_standard"], row["age"]) == ("covid19", "RT-PCR", 61.5)


@pytest.mark.parametrize("header", ["path,label,label", "path,label,LABEL", "path,label, Label "])
def test_a_column_that_stands_twice_is_read_only_where_both_agree(tmp_path: Path, header: str) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"{header}\na.png,x,x\nb.png,x,y\n")
    with pytest.raises(ManifestError, match="has the column label 2 times, and they differ in row 3"):
        Manifest.read(table)
    table.write_text(f"{header}\na.png,x,x\nb.png,y,y\n")
    read = Manifest.read(table)
    assert read.table["label"].tolist() == ["x", "y"]
    assert read.notices == ("mine.csv: the column label is there 2 times with the same values: read once.",)


@pytest.mark.parametrize("again", ["a.png", "./a.png", "x/../a.png", ".\\a.png"])
@pytest.mark.parametrize("first", ["covid19", "no_pneumonia"])
def test_one_file_with_two_labels_is_refused_whichever_stands_first(tmp_path: Path, again: str, first: str) -> None:
    other = {"covid19": "no_pneumonia", "no_pneumonia": "covid19"}[first]
    table = tmp_path / "mine.csv"
    table.write_text(f"path,label\na.png,{first}\nb.png,x\n{again},{other}\n")
    with pytest.raises(ManifestError, match=rf"a\.png is labelled {first} \(row 2\) and {other} \(row 4\); give"):
        Manifest.read(table)


def test_rows_that_repeat_an_image_count_once_and_a_leak_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("path,label,split\na.png,x,train\n./a.png,x,train\na.png,x,test\nb.png,x,train\n")
    read = Manifest.read(table)
    assert read.table["split"].tolist() == ["train", "test", "train"]
    assert read.notices == ("mine.csv: 1 row repeats an image with the same label (row 3): counted once.",)


def test_two_tables_may_not_give_one_file_two_labels(tmp_path: Path) -> None:
    one, two = (Manifest.of(rows(label=[label, "x"]), name, tmp_path) for label, name in (("x", "a"), ("y", "b")))
    with pytest.raises(ManifestError, match=r"a\.png is labelled x \(a\) and y \(b\)"):
        Manifest.joined([one, two])


def test_other_spellings_of_our_labels_and_missing_ones_are_read_with_a_sentence(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"path": list("abcdef"), "label": ["COVID-19", "Covid 19", "covid19", "nan", "", "Unlabelled"]}
    )
    read = Manifest.of(table, "mine", tmp_path)
    assert read.table["label"].tolist() == ["covid19"] * 3 + ["unlabelled"] * 3
    assert read.table["finding"].tolist()[:3] == ["COVID-19", "Covid 19", ""]
    assert "the labels 'COVID-19' (1), 'Covid 19' (1) are read as covid19." in read.notices
    assert any("in row 5, 6, 7 are read as unlabelled." in notice for notice in read.notices)


def test_unknown_patients_are_their_images(tmp_path: Path) -> None:
    read = Manifest.of(rows(patient=["nan", "nan"]), "mine", tmp_path)
    assert read.table["patient"].tolist() == ["image:a.png", "image:b/c.png"]
    assert "patient is 'nan' in 2 of 2 rows" in read.notices[0]


def test_values_of_closed_lists_are_read_in_any_case(tmp_path: Path) -> None:
    read = Manifest.of(rows(view=["pa", "Lateral"], sex=["m", "nan"], study=["unknown", "unknown"]), "mine", tmp_path)
    assert read.table["view"].tolist() == ["PA", "lateral"]
    assert read.table["sex"].tolist() == ["M", ""]
    assert read.table["study"].tolist() == ["", ""]
