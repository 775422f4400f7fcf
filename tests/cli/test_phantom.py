from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from lungsight.datasets.manifest import Manifest


def phantom(*arguments: object):
    return CliRunner().invoke(app, ["phantom", *map(str, arguments)])


def test_a_collection_is_drawn_and_its_manifest_named(tmp_path: Path):
    result = phantom("--out", tmp_path / "p", "--patients", 3, "--size", 48, "--shortcut", "blur")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "p" / "manifest.csv") in result.output
    assert RESEARCH_ONLY in result.output
    table = Manifest.read(tmp_path / "p" / "manifest.csv").table
    assert set(table["label"]) == {"covid19", "other_pneumonia", "no_pneumonia"}
    assert ((table["shortcut"] == "blur") == (table["label"] == "covid19")).all()


def test_a_gallery_is_one_small_coloured_picture(tmp_path: Path):
    file = tmp_path / "pictures" / "phantoms.png"
    assert phantom("--gallery", file, "--size", 384).exit_code == 0
    assert file.stat().st_size < 400_000
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    assert picture.shape[1] > picture.shape[0]
    assert (np.ptp(picture, axis=2) > 60).sum() > 300  # the outlines have colour


def test_a_gallery_of_the_views_shows_the_same_patients_twice(tmp_path: Path):
    assert phantom("--gallery", tmp_path / "views.png", "--shortcut", "view", "--size", 96).exit_code == 0
    picture = np.asarray(Image.open(tmp_path / "views.png").convert("RGB")).astype(int)
    assert picture.shape[:2] == (2 * 96 + 6, 3 * 96 + 12)
    assert np.abs(picture[:96] - picture[-96:]).mean() > 5


def test_all_patients_can_lie_in_bed(tmp_path: Path):
    assert phantom("--out", tmp_path / "p", "--patients", 3, "--size", 32, "--view", "AP").exit_code == 0
    assert set(Manifest.read(tmp_path / "p" / "manifest.csv").table["view"]) == {"AP"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--out", "a", "--gallery", "b.png"),
        ("--out", "a", "--strength", "2"),
        ("--out", "a", "--view", "lateral"),
        ("--out", "a", "--view", "AP", "--shortcut", "view"),
    ],
)
def test_wrong_usage_ends_with_2(arguments):
    assert phantom(*arguments).exit_code == 2


def test_another_seed_in_the_same_folder_is_one_clear_sentence(tmp_path: Path):
    arguments = ("--out", tmp_path, "--patients", 1, "--size", 32)
    assert phantom(*arguments).exit_code == 0
    result = phantom(*arguments, "--seed", 1)
    assert result.exit_code == 3
    assert "drawn with other settings" in result.output
    assert len(result.output.strip().splitlines()) == 1
