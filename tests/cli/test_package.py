from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from tiny_package import write_tiny


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


def package(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["package", *(str(argument) for argument in arguments)])


def test_verify_says_that_all_is_well(model: Path) -> None:
    result = package("verify", model)
    assert result.exit_code == 0
    assert "all 7 files are as they were written" in result.stdout


def test_verify_names_the_altered_file(model: Path) -> None:
    (model / "MODEL_CARD.md").write_text("Sees everything.")
    result = package("verify", model)
    assert result.exit_code == 3
    assert "MODEL_CARD.md was altered" in result.stderr
    assert result.stdout == ""


def test_describe_tells_what_the_model_learned_from(model: Path) -> None:
    result = package("describe", model)
    assert result.exit_code == 0
    for text in ("tests", "covid19", "temperature 1.5, fitted on 30 images", "north", "1 images (1 train)"):
        assert text in result.stdout
    assert RESEARCH_ONLY in result.stdout
