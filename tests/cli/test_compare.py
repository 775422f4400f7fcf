"""``lungsight compare``, the real command on two tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lungsight import RESEARCH_ONLY
from lungsight.cli import app


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    positive = np.arange(80) % 2 == 0
    made = []
    for name, skill in (("ours", 3.0), ("theirs", 0.0)):
        score = 1 / (1 + np.exp(-(rng.normal(size=80) + skill * (positive - 0.5))))
        folder = tmp_path / name
        folder.mkdir()
        pd.DataFrame(
            {
                "source": "north",
                "patient": [f"p{k}" for k in range(80)],
                "truth": np.where(positive, "covid19", "other"),
                "sha256": [f"{k:064}" for k in range(80)],
                "probability_covid19": score,
                "probability_other": 1 - score,
                "prediction": np.where(score > 0.5, "covid19", "other"),
                "fault": "",
                "kind": "external",
            }
        ).to_csv(folder / "predictions.csv", index=False)
        stated = {"subject": {"model": name, "target": "covid19"}, "verdict": {"grade": "confounded"}}
        (folder / "evidence.json").write_text(json.dumps(stated))
        made.append(folder)
    return made


def test_the_command_prints_the_figures_and_writes_the_page(folders: list[Path], tmp_path: Path) -> None:
    arguments = ["compare", *map(str, folders), "--out", str(tmp_path / "out"), "--replicates", "200"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for said in ("80 images that all of them analysed", "shortcut found", "A's AUROC is", RESEARCH_ONLY):
        assert said in done.output.replace("\n", " ")
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "compare.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ours",), "needs at least two tests"),
        (("ours", "none"), "there is no such folder"),
        (("ours", "theirs", "--target", "flu"), "flu isn't a class of this model; give one of covid19, other"),
    ],
)
def test_bad_input_gets_one_sentence(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(folders[0].parent)
    done = CliRunner().invoke(app, ["compare", *arguments])
    assert done.exit_code == 3
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_help_shows_an_example() -> None:
    assert "lungsight compare tested/ours" in CliRunner().invoke(app, ["compare", "--help"]).output
