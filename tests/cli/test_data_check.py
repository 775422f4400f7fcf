from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.datasets.phantom import draw


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two collections of two films each; the second repeats one film of the first, on the other side."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for seed in range(3):
        pixels = (draw(seed, "no_pneumonia", size=256).pixels * 255).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{seed}.png")
    Image.open(tmp_path / "0.png").save(tmp_path / "copy.jpg", quality=70)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    _table(["0.png", "1.png"], "train").to_csv(first, index=False)
    _table(["copy.jpg", "2.png"], "test").to_csv(second, index=False)
    return first, second


def _table(files: list[str], split: str) -> pd.DataFrame:
    return pd.DataFrame({"path": files, "label": "covid19", "split": split, "age": "50"})


def test_copies_between_manifests(manifests, tmp_path):
    found, pairs = tmp_path / "found.json", tmp_path / "pairs.csv"
    words = ["data", "check", *map(str, manifests), "--json", str(found), "--pairs", str(pairs)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 4
    assert "The same image is in train (0.png) and in test (copy.jpg)." in result.output
    assert "first and second" in result.output
    written = json.loads(found.read_text())
    assert written["images"] == 4
    assert written["counts"]["age group"] == {"40–64": 4}
    assert [pair["kind"] for pair in written["duplicates"]] == ["re-encoded"]
    assert pd.read_csv(pairs).loc[0, ["first_source", "second_source"]].tolist() == ["first", "second"]


def test_unreadable_file_is_named(manifests, tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    result = CliRunner().invoke(app, ["data", "check", str(manifests[0])])
    assert result.exit_code == 1
    assert "1.png: the file is empty" in result.output


def test_nothing_wrong(manifests):
    assert CliRunner().invoke(app, ["data", "check", str(manifests[0])]).exit_code == 0


def test_no_such_manifest(tmp_path):
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "none.csv")])
    assert result.exit_code == 3
    assert "there is no such file" in result.output


def test_sources_and_labels_stand_in_one_table_and_nothing_is_said_of_a_split_that_is_not_there(
    manifests: tuple[Path, Path], tmp_path: Path
) -> None:
    table = pd.DataFrame(
        {"path": ["0.png", "1.png", "2.png"], "label": ["covid19", "nan", "no_pneumonia"], "source": ["a", "a", "b"]}
    )
    table.to_csv(tmp_path / "mine.csv", index=False)
    found = tmp_path / "found.json"
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "mine.csv"), "--json", str(found)])
    assert result.exit_code == 0
    assert "3 images; of which patients, the table doesn't say" in result.output
    assert "split" not in result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert ["source", "covid19", "no_pneumonia", "unlabelled"] in lines
    assert ["a", "1", "–", "1"] in lines
    assert ["b", "–", "1", "–"] in lines
    written = json.loads(found.read_text())
    assert written["images_without_patient"] == 3
    assert written["by_source_and_label"][0] == {"source": "a", "covid19": 1, "no_pneumonia": 0, "unlabelled": 1}


def test_views_have_their_rows_and_unknown_patients_are_counted(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["0.png", "1.png"], "label": "covid19", "view": ["PA", ""], "patient": ["p", ""]})
    table.to_csv(tmp_path / "mine.csv", index=False)
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "mine.csv")])
    assert "2 images of 1 patients, and 1 of them of unknown patients" in result.output
    assert ["mine", "PA", "1"] in [line.split() for line in result.output.splitlines()]


def test_the_same_file_with_two_labels_is_named(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "again.png").write_bytes((tmp_path / "0.png").read_bytes())
    table = pd.DataFrame({"path": ["0.png", "again.png"], "label": ["covid19", "no_pneumonia"]})
    table.to_csv(tmp_path / "mine.csv", index=False)
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path / "mine.csv")])
    assert result.exit_code == 3
    assert "1 pairs of the same image have two labels" in result.output
    assert "is labelled covid19 and" in result.output


def test_its_last_sentence_says_what_the_collection_can_answer(manifests, tmp_path):
    written = tmp_path / "found.json"
    result = CliRunner().invoke(app, ["data", "check", str(manifests[0]), "--json", str(written)])
    sentence = json.loads(written.read_text())["can_answer"]["sentence"]
    assert sentence.startswith("This collection can't answer whether a model recognises COVID-19")
    assert " ".join(result.output.split()).endswith(sentence)
