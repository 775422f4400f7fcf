"""``lungsight evaluate``, the real command on a real, small package."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from syrupy.assertion import SnapshotAssertion
from typer.testing import CliRunner

import prose
from lungsight import RESEARCH_ONLY
from lungsight.cli import app

_FIXTURES = Path(__file__).parents[1] / "evaluation_fixtures.py"


def _fixtures() -> ModuleType:
    """The maker of images and of the package that classifies them by brightness."""
    spec = importlib.util.spec_from_file_location("films", _FIXTURES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["films"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds ``package`` and ``films.csv``: four films of the source trained on, four of another."""
    studio = _fixtures()
    kinds = (("covid19", 0.8), ("covid19", 0.4), ("no_pneumonia", 0.3), ("no_pneumonia", 0.2))
    wanted = [studio.Film("covid19", 0.9, "t", split="train")]
    wanted += [studio.Film(label, b, f"p{b}", source) for source in ("north", "east") for label, b in kinds]
    rows = studio.write_films(tmp_path / "images", wanted)
    rows.to_csv(tmp_path / "films.csv", index=False)
    studio.write_brightness_package(tmp_path / "package", rows.head(1))
    return tmp_path


def test_the_command_prints_the_figures_and_writes_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    """Without --out the page's folder is named after the package and the day."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        sys, "argv", ["lungsight", "evaluate", "package", "--data", "films.csv", "--replicates", "100"]
    )
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, sys.argv[1:])
    assert done.exit_code == 0, done.output
    assert "1 left out: of a patient the model was trained or tuned on" in done.stdout
    for line in ("internal", "north", "external", "east", RESEARCH_ONLY):
        assert line in done.stdout
    assert "of 2 with COVID-19, 50% (" in done.stdout  # one of two positives found, at either source
    assert "– lungs hidden: " in done.stdout
    assert "Grade: too little data" in done.stdout
    (tested,) = folder.glob("evaluation-brightness-2*")
    stated = json.loads((tested / "evidence.json").read_text())
    masks = {stated["subject"]["model"]: "<model>", str(folder): "<folder>", tested.name: "tested"}
    assert prose.of_text(done.stdout, masks) == snapshot
    assert stated["verdict"]["grade"] == "too little data"
    assert "lungsight evaluate package --data films.csv" in stated["command"]
    assert (tested / "index.html").is_file()


def test_other_peoples_predictions_are_tested_without_a_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    rows = pd.read_csv("films.csv", dtype=str)
    scores = [0.9, 0.8, 0.6, 0.3, 0.1, 0.7, 0.6, 0.2, 0.4][: len(rows)]
    table = pd.DataFrame({"file": rows["path"], "p_covid19": scores, "p_other": [1 - s for s in scores]})
    table.to_csv("theirs.csv", index=False)
    arguments = ["--class", "covid19=covid19", "--class", "other=*", "--replicates", "100", "--out", "tested"]
    done = CliRunner().invoke(app, ["evaluate", "--predictions", "theirs.csv", "--data", "films.csv", *arguments])
    assert done.exit_code == 0, done.output
    assert "tested with theirs.csv" in done.output
    assert (folder / "tested" / "index.html").is_file()


def test_figures_without_any_interval_are_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    rows = pd.read_csv("films.csv", dtype=str).iloc[[1, 3]].assign(patient="one")
    rows.to_csv("two.csv", index=False)
    pd.DataFrame({"file": rows["path"], "p_covid19": [0.6, 0.4], "p_other": [0.4, 0.6]}).to_csv("t.csv", index=False)
    arguments = ["--class", "covid19=covid19", "--class", "other=*", "--replicates", "100", "--out", "tested"]
    done = CliRunner().invoke(app, ["evaluate", "--predictions", "t.csv", "--data", "two.csv", *arguments])
    assert done.exit_code == 0, done.output
    assert "no interval" in done.output


def test_an_unreadable_image_is_named_and_the_others_are_tested(folder: Path) -> None:
    rows = pd.read_csv(folder / "films.csv", dtype=str)
    Path(rows["path"].iloc[-1]).write_bytes(b"not an image")
    arguments = ["evaluate", str(folder / "package"), "--data", str(folder / "films.csv"), "--replicates", "100"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(folder / "tested")])
    assert done.exit_code == 1
    assert "7 images tested" in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("package", "--data", "films.csv", "--target", "flu"),
            "isn't a class of this model; give one of covid19, other",
        ),
        (("package", "--data", "none.csv"), "there is no such file"),
        (("package",), "--data: is missing"),
        (("--data", "films.csv"), "MODEL and --predictions: neither is given"),
        (("package", "--predictions", "films.csv", "--data", "films.csv"), "both are given"),
        (
            ("package", "--data", "films.csv", "--trained-source", "a"),
            "--trained-source: goes with a model that isn't",
        ),
        (("package", "--data", "films.csv", "--output", "a"), "--output: goes with a model that isn't a package"),
        (("m.toml", "--data", "films.csv", "--retrain"), "--retrain: goes with a package"),
        (("package", "--data", "films.csv", "--prevalence", "1"), "isn't between 0 and 1"),
        (("--predictions", "films.csv", "--data", "films.csv"), "films.csv"),
        (("--predictions", "none.csv", "--data", "films.csv"), "none.csv"),
        (("images", "--data", "films.csv"), "holds no package.json"),
        (("package", "--data", "films.csv", "--out", "package/seen"), "is inside the package that is tested"),
    ],
)
def test_bad_input_gets_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["evaluate", *arguments])
    assert done.exit_code == 3
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_help_shows_an_example() -> None:
    assert "lungsight evaluate runs/baseline/package" in CliRunner().invoke(app, ["evaluate", "--help"]).output
