"""What `pip install lungsight` brings without an extra: every other module is hidden, as if it weren't there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw

EXTRAS = [
    "accelerate",
    "cv2",
    "fastapi",
    "sqlalchemy",
    "uvicorn",
    "fastai",
    "filelock",
    "fsspec",
    "pooch",
    "requests",
    "imagehash",
    "matplotlib",
    "openvino",
    "pandas",
    "platformdirs",
    "pyarrow",
    "ray",
    "scipy",
    "skimage",
    "sklearn",
    "sympy",
    "timm",
    "torch",
    "torchvision",
]
HIDING = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r})); from lungsight.cli import main; main()"


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[ ]", requirement)[0]


def lungsight(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDING, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    pixels = draw(1, next(iter(Label)), size=512).pixels
    Image.fromarray((pixels * 255).astype("uint8")).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def test_whatever_only_an_extra_brings_is_hidden() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    base = {name_of(entry) for entry in project["dependencies"]}
    extras = project["optional-dependencies"]
    only = {
        name_of(entry)
        for extra in ("data", "openvino", "parquet", "ray", "report", "serve")
        for entry in extras[extra]
    }
    modules = {"opencv-python-headless": "cv2", "scikit-learn": "sklearn"}
    assert {modules.get(name, name) for name in only - base - {"lungsight"}} <= set(EXTRAS)


def test_scanning_triage_and_verification_need_nothing_else(film: Path, tmp_path: Path) -> None:
    outputs = ["--csv", "f.csv", "--json", "f.jsonl", "--html", "f.html", "--heatmaps", "maps", "--overlays", "over"]
    scanned = lungsight("scan", film, *outputs, cwd=tmp_path)
    assert scanned.returncode == 0, scanned.stderr
    finding = json.loads((tmp_path / "f.jsonl").read_text().splitlines()[-1])
    assert finding["probabilities"]
    ranked = lungsight("triage", "f.jsonl", "--csv", "worklist.csv", cwd=tmp_path)
    assert ranked.returncode == 0, ranked.stderr
    bundled = Path(__file__).parents[2] / "src/lungsight/bundled/released"
    verified = lungsight("verify", bundled, cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr


def test_a_url_names_what_it_needs_and_stops_nothing_else(film: Path, tmp_path: Path) -> None:
    done = lungsight("scan", "s3://bucket/x.png", film, "--json", "f.jsonl", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    statuses = [json.loads(line)["status"] for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert statuses == ["error", "read"]
    assert "fsspec" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("scan", "film.png", "--parquet", "f.parquet"), "parquet"),
        (("data", "list"), "data"),
        (("phantom", "--out", "p"), "data"),
        (("evaluate", "released", "--data", "m.csv"), "report"),
        (("compare", "a", "b"), "report"),
        (("train", "demo", "--data", "m.csv", "--out", "r"), "train"),
        (("find-lr", "demo", "--data", "m.csv"), "train"),
        (("serve", "--no-browser"), "serve"),
    ],
)
def test_what_needs_more_says_which_extra_brings_it(
    film: Path, tmp_path: Path, arguments: tuple[str, ...], extra: str
) -> None:
    ended = lungsight(*arguments, cwd=tmp_path)
    assert ended.returncode == 3
    assert f"pip install 'lungsight[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr
