"""``lungsight data views``: the view of images whose table doesn't state it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import Label, draw
from lungsight.package import ModelPackage, bundled
from lungsight.package.storage import GATE
from tiny_package import write_tiny
from tiny_parts import describe_gate, tiny_gate

STATED = {"low": 0.3, "high": 0.8, "aim": 0.9, "chosen_on": 50, "trained_on": {}}


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five images: one states its view, one is predicted already, one is a side view, one isn't an image."""
    pixels = np.round(draw(1, Label.COVID19, size=96).pixels * 255).astype(np.uint8)
    for i in range(4):
        Image.fromarray(pixels + i).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes(b"no image")
    rows = {"path": [f"{i}.png" for i in range(5)], "label": "covid19", "view": ["PA", "", "lateral", "", ""]}
    pd.DataFrame(rows | {"view_guess": ["", "", "", "PA", ""]}).to_csv(tmp_path / "all.csv", index=False)
    write_tiny(tmp_path / "package", gate=describe_gate(view=STATED), parts={GATE: tiny_gate("frontal", ap=4.0)})
    package = ModelPackage.open(tmp_path / "package")
    monkeypatch.setattr(bundled, "package_with_view_classifier", lambda: package)
    return tmp_path / "all.csv"


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", "views", *map(str, words)])
    return result.exit_code, result.output


def test_only_what_isnt_known_is_predicted(manifest: Path, tmp_path: Path) -> None:
    status, said = run(manifest, "--out", tmp_path / "new.csv", "--cache", tmp_path / "cache")
    assert status == 0
    assert "5 images: the view of 2 was known; predicted are 1 AP and 0 PA; of 1 frontal ones" in said
    before, after = Manifest.read(manifest).table, Manifest.read(tmp_path / "new.csv").table
    assert after["view_guess"].tolist() == ["", "AP", "", "PA", ""]
    pd.testing.assert_frame_equal(after.drop(columns="view_guess"), before.drop(columns="view_guess"))


def test_the_same_file_may_be_written(manifest: Path, tmp_path: Path) -> None:
    assert run(manifest, "--out", manifest, "--cache", tmp_path / "cache")[0] == 0
    assert Manifest.read(manifest).projection.tolist() == ["PA", "AP", "", "PA", ""]


def test_another_ending_and_a_missing_classifier_are_one_sentence(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ends in .csv or .parquet" in run(manifest, "--out", tmp_path / "new.txt")[1]
    monkeypatch.setattr(bundled, "package_with_view_classifier", lambda: None)
    status, said = run(manifest, "--out", tmp_path / "new.csv")
    assert status != 0
    assert "none is bundled" in said
    assert not (tmp_path / "new.csv").exists()
