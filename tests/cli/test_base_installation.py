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
    "contourpy",
    "cv2",
    "dicomweb_client",
    "fastapi",
    "sqlalchemy",
    "uvicorn",
    "fastai",
    "filelock",
    "fsspec",
    "highdicom",
    "httpx",
    "pooch",
    "requests",
    "imagehash",
    "matplotlib",
    "openvino",
    "pandas",
    "platformdirs",
    "pyarrow",
    "pynetdicom",
    "ray",
    "scipy",
    "skimage",
    "sklearn",
    "sympy",
    "timm",
    "torch",
    "torchvision",
]
HIDE = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
HIDING = f"{HIDE}from lungsight.cli import main; main()"


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
        for extra in ("data", "hospital", "openvino", "parquet", "ray", "report", "serve")
        for entry in extras[extra]
    }
    modules = {"opencv-python-headless": "cv2", "dicomweb-client": "dicomweb_client", "scikit-learn": "sklearn"}
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


#: What needs more than the base installation, and the extra that brings it.
NEED_MORE = [
    (("scan", "film.png", "--parquet", "f.parquet"), "parquet"),
    (("scan", "film.png", "--dicom", "results"), "hospital"),
    (("pacs", "--orthanc", "http://127.0.0.1:1"), "hospital"),
    (("data", "list"), "data"),
    (("phantom", "--out", "p"), "data"),
    (("evaluate", "released", "--data", "m.csv"), "report"),
    (("adapt", "released", "--data", "m.csv", "--out", "o"), "report"),
    (("compare", "a", "b"), "report"),
    (("train", "demo", "--data", "m.csv", "--out", "r"), "train"),
    (("find-lr", "demo", "--data", "m.csv"), "train"),
    (("serve", "--no-browser"), "serve"),
]
#: All in one process, for each would take seconds: the status of each and what it printed to standard error.
IN_TURN = """
import json
from typer.testing import CliRunner
from lungsight.cli import app
ended = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
print(json.dumps([[one.exit_code, one.stderr] for one in ended]))
"""


def test_what_needs_more_says_which_extra_brings_it(film: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HIDE + IN_TURN, json.dumps([words for words, _ in NEED_MORE])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for (words, extra), (status, said) in zip(NEED_MORE, json.loads(done.stdout), strict=True):
        assert status == 3, words
        assert f"pip install 'lungsight[{extra}]'" in said, words
        assert len(said.strip().splitlines()) == 1, words
