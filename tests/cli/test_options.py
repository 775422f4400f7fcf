"""A hospital's own table, through the options that explain it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.cli.options import naming, read_tables
from lungsight.errors import ManifestError


def test_columns_and_labels_are_read_as_the_options_say(tmp_path: Path) -> None:
    table = tmp_path / "export.csv"
    table.write_text("FilePath;Diagnosis;label\na.png;COVID-19 positive;x\nb.png;negativ;y\n", encoding="cp1252")
    said = naming(["path=FilePath", "label=diagnosis"], ["COVID-19 positive=covid19", "Negativ=not_covid19"])
    (manifest,) = read_tables([table], said)
    assert manifest.table["label"].tolist() == ["covid19", "not_covid19"]
    assert manifest.table["finding"].tolist() == ["COVID-19 positive", "negativ"]
    assert "export.csv: the label 'COVID-19 positive' (1) is read as covid19." in manifest.notices


@pytest.mark.parametrize(
    ("columns", "labels", "sentence"),
    [
        (["paht=x"], [], "no column 'paht'. did you mean path?"),
        (["path"], [], "'path' isn't COLUMN=NAME"),
        (["path=a", "path=b"], [], "gives 'path' two meanings, a and b"),
        ([], ["x="], "'x=' isn't FOUND=LABEL"),
        ([], ["x=a", "x=b"], "gives 'x' two meanings"),
    ],
)
def test_options_that_say_nothing_are_refused(columns: list[str], labels: list[str], sentence: str) -> None:
    with pytest.raises(typer.BadParameter) as problem:
        naming(columns, labels)
    assert sentence in str(problem.value)


def test_a_column_or_label_that_no_table_has_is_named(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("file,label\na.png,x\n")
    with pytest.raises(ManifestError, match=r"has no column Path to image \(it has file, label\)"):
        read_tables([table], naming(["path=Path to image"], []))
    with pytest.raises(ManifestError, match=r"--label 'z=covid19': no image has this label \(found: x\)"):
        read_tables([table], naming(["path=file"], ["z=covid19"]))
    with pytest.raises(ManifestError, match="say which with --column path=file"):
        read_tables([table], naming([], []))


def test_one_table_may_call_its_columns_otherwise_than_the_next(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("FilePath,label\na.png,x\n")
    (tmp_path / "two.csv").write_text("path,label\nb.png,y\n")
    one, two = read_tables([tmp_path / "one.csv", tmp_path / "two.csv"], naming(["path=FilePath"], ["y=z"]))
    assert one.table["label"].tolist() == ["x"]
    assert two.table["label"].tolist() == ["z"]
    assert two.notices[0] == "two.csv: has no column FilePath; its column path was read."


def test_a_workbook_is_refused_with_the_way_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "films.xlsx").write_bytes(b"PK\x03\x04 and so on")
    shown = CliRunner().invoke(app, ["data", "check", str(tmp_path / "films.xlsx")])
    assert shown.exit_code == 3
    assert "save it as 'CSV UTF-8'" in shown.output
