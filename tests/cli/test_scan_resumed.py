"""A scan that is killed, and the same command again: nothing lost, nothing twice, no half line."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from forked import started
from lungsight.cli import app
from tiny_package import write_tiny

KILLS = 50


def _films(folder: Path, number: int, side: int = 100) -> list[Path]:
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    paths = []
    for index in range(number):
        path = folder / f"film-{index:04}.png"
        Image.fromarray(noise.integers(20, 200, (side, side - 20), dtype=np.uint8)).save(path, compress_level=0)
        paths.append(path)
    if number > 3:
        (folder / "film-0003.png").write_bytes(b"")  # an image that can't be read is done, too
    return paths


def lungsight(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


def _arguments(films: Path, model: Path, out: Path) -> list[str]:
    names = {"--json": "f.jsonl", "--csv": "f.csv", "--html": "f.html", "--overlays": "seen"}
    outputs = (str(part) for option, name in names.items() for part in (option, out / name))
    return ["scan", str(films), "--model", str(model), "--threads", "2", *outputs]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="processes are killed the POSIX way")
def test_killed_at_fifty_random_moments_nothing_is_lost_and_nothing_is_twice(model: Path, tmp_path: Path) -> None:
    paths = _films(tmp_path / "films", 400, side=400)
    chance = random.Random(1)
    kills, jobs = 0, 0
    while kills < KILLS:
        jobs += 1
        kills += _one_job(paths, model, tmp_path / f"job-{jobs}", chance, at_most=KILLS - kills)
    assert kills == KILLS


def _one_job(paths: list[Path], model: Path, out: Path, chance: random.Random, *, at_most: int) -> int:
    """The same command again and again, killed each time, until it comes to its end; how often it was killed."""
    kills = 0
    while True:
        scanning = started(_arguments(paths[0].parent, model, out))
        if kills < at_most and _die(scanning, out, chance):
            kills += 1
            _check_part(out)
            continue
        scanning.join(timeout=300)
        assert scanning.exitcode in (0, 1)  # one file cannot be read: in this part of the scan, or before
        break
    _check_whole(paths, out)
    return kills


def _die(scanning: ForkServerProcess, out: Path, chance: random.Random) -> bool:
    """Kill it at a random moment of its work: after so many more bytes, and a moment more."""
    lines = out / "f.jsonl"
    wanted = (lines.stat().st_size if lines.exists() else 0) + chance.randrange(1, 15_000)
    while scanning.is_alive() and not (lines.exists() and lines.stat().st_size >= wanted):
        time.sleep(0.001)
    time.sleep(chance.random() * 0.01)
    if not scanning.is_alive():
        return False
    scanning.kill()
    scanning.join(timeout=60)
    return scanning.exitcode == -signal.SIGKILL


def _check_part(out: Path) -> None:
    whole = (out / "f.jsonl").read_bytes().split(b"\n")[:-1]
    names = [json.loads(line)["file"] for line in whole]
    assert names == sorted(set(names))


def _check_whole(paths: list[Path], out: Path) -> None:
    expected = [str(path) for path in paths]
    lines = (out / "f.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["file"] for line in found] == expected
    with (out / "f.csv").open(newline="") as table:
        assert [row["file"] for row in csv.DictReader(table)] == expected
    headings = re.findall(r"<h3>(.*?)</h3>", (out / "f.html").read_text("utf-8"))
    assert Counter(headings) == Counter(expected)
    testset = [line for line in found if line["status"] == "read"]
    assert len(testset) == len(paths) - 1
    for line in testset:
        Image.open(line["overlay"]).load()
    assert {Path(line["overlay"]).name for line in testset} == {path.name for path in (out / "seen").glob("*.png")}
    assert not (out / "f.html.images").exists()


def test_what_is_done_is_not_read_again(model: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    _films(films, 6)
    arguments = _arguments(films, model, tmp_path / "out")[:-4]  # tables alone: a page is made of all its images
    assert lungsight(*arguments).exit_code == 1
    before = (tmp_path / "out" / "f.jsonl").read_bytes()
    Image.new("L", (90, 90), 100).save(films / "film-0001.png")  # would be another finding
    _films(films, 0)
    Image.fromarray(np.random.default_rng(1).integers(20, 200, (90, 90), dtype=np.uint8)).save(films / "new.png")
    again = lungsight(*arguments)
    assert again.exit_code == 1, "one could not be read, and still can't"
    assert "1 file: " in again.stdout
    assert "6 more files had been done before" in again.stdout
    assert "1 of them could not be read then" in again.stdout
    content = (tmp_path / "out" / "f.jsonl").read_bytes()
    assert content.startswith(before)
    assert json.loads(content[len(before) :])["file"] == str(films / "new.png")
    assert "7 files had been done before" in lungsight(*arguments).stdout
    assert lungsight(*arguments, "--restart").exit_code == 1
    restarted = [json.loads(line) for line in (tmp_path / "out" / "f.jsonl").read_text().splitlines()]
    assert [line["status"] for line in restarted].count("refused") == 1


def test_each_table_goes_on_where_it_was(model: Path, tmp_path: Path) -> None:
    _films(tmp_path / "films", 5)
    arguments = _arguments(tmp_path / "films", model, tmp_path / "out")[:-4]
    lungsight(*arguments)
    lines, table = tmp_path / "out" / "f.jsonl", tmp_path / "out" / "f.csv"
    whole = (lines.read_bytes().splitlines(), table.read_bytes().splitlines())
    lines.write_bytes(b"\n".join(whole[0][:2]) + b"\n" + whole[0][2][:10])
    table.write_bytes(b"\n".join(whole[1][:5]) + b"\n")
    lungsight(*arguments)
    assert [json.loads(line)["file"] for line in lines.read_text().splitlines()] == [
        json.loads(line)["file"] for line in whole[0]
    ]
    assert len(table.read_bytes().splitlines()) == len(whole[1])


def test_another_model_or_a_foreign_file_is_one_sentence(model: Path, tmp_path: Path) -> None:
    _films(tmp_path / "films", 2)
    lines = tmp_path / "f.jsonl"
    lungsight("scan", tmp_path / "films", "--model", model, "--json", lines)
    other = write_tiny(tmp_path / "other", name="other")
    refused = lungsight("scan", tmp_path / "films", "--model", other, "--json", lines)
    assert refused.exit_code == 3
    assert "holds findings of" in refused.stderr
    (tmp_path / "notes.txt").write_text("buy milk\n")
    foreign = lungsight("scan", tmp_path / "films", "--model", model, "--csv", tmp_path / "notes.txt")
    assert foreign.exit_code == 3
    assert (tmp_path / "notes.txt").read_text() == "buy milk\n"


def test_parquet_has_every_file_once(model: Path, tmp_path: Path) -> None:
    paths = _films(tmp_path / "films", 5)
    arguments = ("scan", tmp_path / "films", "--model", model, "--parquet", tmp_path / "f")
    lungsight(*arguments)
    (tmp_path / "films" / "zz.png").write_bytes(paths[0].read_bytes())
    assert "5 more files had been done before" in lungsight(*arguments).stdout
    assert pq.read_table(tmp_path / "f")["file"].to_pylist() == [*map(str, paths), str(tmp_path / "films" / "zz.png")]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_a_watched_folder_is_scanned_as_files_arrive(model: Path, tmp_path: Path) -> None:
    films, lines = tmp_path / "films", tmp_path / "f.jsonl"
    _films(films, 2)
    command = ["scan", films, "--model", model, "--watch", "--json", lines]
    watching = subprocess.Popen(
        [sys.executable, "-m", "lungsight", *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        _wait_for(lines, 2)
        (films / "later.png").write_bytes((films / "film-0000.png").read_bytes())
        _wait_for(lines, 3)
        time.sleep(1)  # the line is written a moment before its file is counted
        watching.send_signal(signal.SIGINT)
        said, _ = watching.communicate(timeout=30)
    finally:
        watching.kill()
    assert watching.returncode == 0
    assert "3 files:" in said


def _wait_for(lines: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while not lines.exists() or len(lines.read_bytes().splitlines()) < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)
