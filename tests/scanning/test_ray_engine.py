"""The scanner on Ray: two workers on this machine, real images, the real command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw

pytest.importorskip("ray")

COMMAND = [sys.executable, "-m", "lungsight", "scan"]
ON_RAY = ["--engine", "ray", "--workers", "2"]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 images under as many names, one of them damaged."""
    folder = tmp_path_factory.mktemp("films")
    labels = list(Label)
    for seed in range(6):
        pixels = draw(seed, labels[seed % len(labels)], size=512).pixels
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(folder / f"{seed:03}.png")
    for number in range(6, 95):
        shutil.copy(folder / f"{number % 6:03}.png", folder / f"{number:03}.png")
    (folder / "095.png").write_bytes((folder / "000.png").read_bytes()[:500])
    return folder


def findings(path: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = Counter(line["file"] for line in lines)
    assert set(names.values()) == {1}, "each image exactly once"
    return {line["file"]: line for line in lines}


def kill_a_worker_of(scan: subprocess.Popen[str], record: Path) -> None:
    """Kill one of the processes with the model as soon as something was found."""
    until = time.monotonic() + 120
    while time.monotonic() < until and scan.poll() is None:
        if record.exists() and record.read_bytes().count(b"\n") > 0:
            workers = [
                child
                for child in psutil.Process(scan.pid).children(recursive=True)
                if any("MapWorker" in word for word in child.cmdline())
            ]
            if workers:
                workers[0].kill()
                return
        time.sleep(0.02)
    pytest.fail("the scan ended before a worker could be killed")


@pytest.mark.slow
def test_a_worker_is_killed_and_every_image_is_there_once_as_a_single_machine_says(
    films: Path, tmp_path: Path
) -> None:
    outputs = ["--json", "ray.jsonl", "--parquet", "parts", "--overlays", "overlays"]
    scan = subprocess.Popen(
        [*COMMAND, films, *ON_RAY, *outputs],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    kill_a_worker_of(scan, tmp_path / "ray.jsonl")
    _, said = scan.communicate(timeout=300)
    assert scan.returncode == 1, said  # one image is damaged
    assert "Traceback" not in said
    subprocess.run([*COMMAND, films, "--json", "local.jsonl"], cwd=tmp_path, stdout=subprocess.DEVNULL, check=False)
    ours, theirs = findings(tmp_path / "ray.jsonl"), findings(tmp_path / "local.jsonl")
    assert ours.keys() == theirs.keys()
    assert len(ours) == 96
    for name, finding in ours.items():
        alone = theirs[name]
        assert (finding["status"], finding["verdict"]) == (alone["status"], alone["verdict"])
        assert finding["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-4)
    table = pq.read_table(tmp_path / "parts")
    assert sorted(table["file"].to_pylist()) == sorted(ours)
    assert sum(finding["overlay"] is not None for finding in ours.values()) == 95
    assert all(Path(finding["overlay"]).is_file() for finding in ours.values() if finding["overlay"])

    again = subprocess.run(
        [*COMMAND, films, *ON_RAY, *outputs], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "96 files had been done before" in again.stdout
    assert findings(tmp_path / "ray.jsonl") == ours


@pytest.mark.slow
def test_a_parquet_list_of_urls(films: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    urls = [(films / f"{number:03}.png").as_uri() for number in range(4)]
    pq.write_table(pa.table({"url": urls}), tmp_path / "list.parquet")
    done = subprocess.run(
        [*COMMAND, "list.parquet", *ON_RAY, "--json", "f.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(findings(tmp_path / "f.jsonl")) == urls


def test_a_cluster_that_isnt_there_is_said_so(films: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, films / "000.png", "--engine", "ray", "--address", "127.0.0.1:1", "--json", "f.jsonl"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no Ray can be reached" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", [["--workers", "2"], ["--address", "auto"], ["--engine", "ray", "--watch"]])
def test_options_that_dont_go_together_are_refused(films: Path, tmp_path: Path, wrong: list[str]) -> None:
    done = subprocess.run([*COMMAND, films, *wrong], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
