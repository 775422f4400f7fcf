import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from lungsight.package import ModelPackage, bundled, storage
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS, tiny_lung_fields


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


def package(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["package", *(str(argument) for argument in arguments)])


def test_verify_says_that_all_is_well(model: Path) -> None:
    result = package("verify", model)
    assert result.exit_code == 0
    assert "all 6 files are as they were written" in result.stdout


def test_verify_names_the_altered_file(model: Path) -> None:
    (model / "MODEL_CARD.md").write_text("Sees everything.")
    result = package("verify", model)
    assert result.exit_code == 3
    assert "MODEL_CARD.md was altered" in result.stderr
    assert result.stdout == ""


def test_describe_tells_what_the_model_learned_from(model: Path) -> None:
    result = package("describe", model)
    assert result.exit_code == 0
    for text in (
        "tests",
        "covid19",
        "Temperature 1.500, fitted on 30 validation images",
        "north",
        "1 images (1 train)",
    ):
        assert text in result.stdout
    assert RESEARCH_ONLY in result.stdout


def an_evaluation(folder: Path, model: str) -> Path:
    folder.mkdir()
    verdict = {"grade": "internal only", "sentence": "It was seen nowhere else."}
    evidence = {"subject": {"model": model}, "verdict": verdict, "made": "2026-11-23T04:00:00+00:00"}
    (folder / "evidence.json").write_text(json.dumps(evidence))
    (folder / "MODEL_CARD.md").write_text("# tested\n")
    return folder


def test_complete_puts_the_evidence_into_the_package(model: Path, tmp_path: Path) -> None:
    before = ModelPackage.open(model).id
    assert "none: the package holds no evidence" in package("describe", model).stdout
    result = package("complete", model, an_evaluation(tmp_path / "tested", before))
    assert result.exit_code == 0
    assert before in result.stdout
    opened = ModelPackage.open(model)
    assert opened.id == before
    assert opened.model_card == "# tested\n"
    assert "internal only; shortcut not looked for (tested 2026-11-23)" in package("describe", model).stdout
    assert "all 7 files are as they were written" in package("verify", model).stdout


def test_complete_refuses_evidence_of_another_model(model: Path, tmp_path: Path) -> None:
    before = (model / "package.json").read_bytes()
    result = package("complete", model, an_evaluation(tmp_path / "tested", "other 0123456789ab"))
    assert result.exit_code == 3
    assert "evidence of the model other 0123456789ab" in result.stderr
    assert (model / "package.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("evidence.json", None, "gives no evidence.json"),
        ("MODEL_CARD.md", None, "gives no MODEL_CARD.md"),
        ("evidence.json", "{", "evidence.json doesn't say which model"),
        ("evidence.json", "[]", "evidence.json doesn't say which model"),
    ],
)
def test_complete_names_what_is_wrong_with_the_evaluation(
    model: Path, tmp_path: Path, name: str, content: str | None, problem: str
) -> None:
    folder = an_evaluation(tmp_path / "tested", ModelPackage.open(model).id)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    result = package("complete", model, folder)
    assert result.exit_code == 3
    assert problem in result.stderr


def test_a_bundled_package_is_asked_for_by_name(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_FOLDER", tmp_path / "bundled")
    for command in ("verify", "describe"):
        missing = package(command, "released")
        assert missing.exit_code == 3
        assert "no model is bundled" in missing.stderr
    shutil.copytree(model, tmp_path / "bundled" / "released")
    assert "all 6 files" in package("verify", "released").stdout
    assert "covid19" in package("describe", "released").stdout


def test_describe_tells_of_what_stands_beside_the_network(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "lungs", lung_fields=LUNG_FIELDS, parts={storage.LUNG_FIELDS: tiny_lung_fields()})
    said = " ".join(package("describe", model).stdout.split())
    assert "lung segmentation A network finds the lungs, at 64 × 64 pixels" in said
    assert "The detector sees the whole image all the same." in said
    assert "all 7 files" in package("verify", model).stdout
