"""``lungsight adapt``, the real command on a real, small package."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from syrupy.assertion import SnapshotAssertion
from typer.testing import CliRunner, Result

import prose
from adaptation_fixtures import write_halves, write_hospital
from lungsight import RESEARCH_ONLY
from lungsight.adaptation.learn import BIAS_ALONE
from lungsight.cli import app
from lungsight.package import ModelPackage

COUNTS = {"covid19": 48, "no_pneumonia": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``package`` and ``hospital/hospital.csv``."""
    made = tmp_path_factory.mktemp("adapt")
    write_halves(made / "package")
    write_hospital(made / "hospital", COUNTS)
    write_hospital(made / "few", {"covid19": 19, "no_pneumonia": 40})
    return made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hospital states its views; to guess them as well, and all penalties, would take most of the time."""
    monkeypatch.setattr("lungsight.adaptation.learn.STRENGTHS", (BIAS_ALONE, 0.1, 0.003))
    monkeypatch.setattr("lungsight.adaptation.prepare.package_with_view_classifier", lambda: None)


def run(folder: Path, out: Path, *arguments: str, table: str = "hospital") -> Result:
    data = str(folder / table / f"{table}.csv")
    fixed = ["adapt", str(folder / "package"), "--data", data, "--out", str(out), "--cache", str(folder / "cache")]
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, [*fixed, "--replicates", "100", *arguments])


def test_the_command_prints_before_and_after_and_writes_the_package(
    folder: Path, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    done = run(folder, tmp_path / "out", "--name", "ours")
    assert done.exit_code == 0, done.output
    written = ModelPackage.open(tmp_path / "out")
    assert written.description.name == "ours"
    assert RESEARCH_ONLY in done.output
    known = {written.id: "<model>", str(tmp_path): "<folder>", str(folder): "<data>"}
    assert prose.of_text(done.output, known) == snapshot
    described = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["package", "describe", str(tmp_path / "out")])
    assert "adapted to 96 images of 96 patients of hospital" in described.output
    assert "internal only" in described.output
    scanned = CliRunner().invoke(app, ["scan", str(folder / "hospital"), "--model", str(tmp_path / "out")])
    assert scanned.exit_code == 0, scanned.output


def test_a_table_of_reads_with_words_of_its_own_goes_in(folder: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(folder / "hospital" / "hospital.csv")
    words = {"covid19": "typical", "no_pneumonia": "negative"}
    renamed = rows.assign(label=rows["label"].map(words)).rename(columns={"path": "file"})
    renamed.to_csv(folder / "hospital" / "reads.csv", index=False)
    arguments = ["--column", "path=file", "--label", "typical=covid19", "--label", "negative=not_covid19"]
    done = CliRunner().invoke(
        app,
        ["adapt", str(folder / "package"), "--data", str(folder / "hospital" / "reads.csv"), "--replicates", "100",
         "--out", str(tmp_path / "out"), "--cache", str(folder / "cache"), *arguments],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "96 images adapted to, 48 with COVID-19" in done.output


def test_too_few_images_get_one_sentence(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path / "out", table="few")
    assert done.exit_code == 3
    assert "19 images of 19 patients with COVID-19 can be used; give at least 20" in done.output
    assert not (tmp_path / "out").exists()


def test_what_is_worse_is_shown_and_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lungsight.adaptation.figures._MAY_WORSEN", {"auroc": -1.0})  # no gain is large enough
    done = run(folder, tmp_path / "out")
    assert done.exit_code == 3
    assert "This made it worse" in done.output
    assert "wasn't written" in done.output
    assert "before" in done.output
    assert not (tmp_path / "out").exists()
    told = run(folder, tmp_path / "out", "--even-if-worse")
    assert told.exit_code == 0, told.output
    assert (tmp_path / "out" / "package.json").is_file()


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_done(folder: Path, tmp_path: Path) -> None:
    table = write_hospital(tmp_path / "torn", COUNTS)
    (tmp_path / "torn" / "covid19-3.png").write_bytes(b"not an image")
    done = CliRunner().invoke(
        app, ["adapt", str(folder / "package"), "--data", str(table), "--out", str(tmp_path / "out"),
              "--cache", str(folder / "cache"), "--replicates", "100"],
    )  # fmt: skip
    assert done.exit_code == 1, done.output
    assert "covid19-3.png" in done.output
    assert (tmp_path / "out" / "package.json").is_file()


@pytest.mark.parametrize(
    ("model", "out", "sentence"),
    [
        ("nowhere", "out", "there is no such model package"),
        ("package", "package", "is the package that is adapted"),
        ("package", "hospital", "isn't a model package"),
    ],
)
def test_bad_input_gets_one_sentence(folder: Path, model: str, out: str, sentence: str) -> None:
    data = str(folder / "hospital" / "hospital.csv")
    done = CliRunner().invoke(app, ["adapt", str(folder / model), "--data", data, "--out", str(folder / out)])
    assert done.exit_code == 3
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_help_shows_an_example() -> None:
    assert "lungsight adapt released --data" in CliRunner().invoke(app, ["adapt", "--help"]).output
