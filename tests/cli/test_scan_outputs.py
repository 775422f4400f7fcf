"""Where a scan may write, and what it must never write over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from lungsight.cli import app
from lungsight.inference import Detector
from lungsight.scanning import Scanner
from lungsight.scanning.outputs import OutputPaths, Outputs


def scan(model: Path, *arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["scan", "--model", str(model), *map(str, arguments)])


@pytest.mark.parametrize("option", ["--json", "--csv", "--html", "--parquet"])
def test_no_output_takes_the_place_of_a_list(model: Path, films: Path, tmp_path: Path, option: str) -> None:
    place = tmp_path / "list.parquet"
    if option == "--parquet":
        place.mkdir()
    inside = place / "part-00000.parquet" if option == "--parquet" else place
    pq.write_table(pa.table({"path": [str(films / "a.png")]}), inside)
    before = inside.read_bytes()
    result = scan(model, place, option, place, "--restart")
    assert result.exit_code == 3
    assert "would be overwritten" in result.stderr
    assert inside.read_bytes() == before


def test_no_output_takes_the_place_of_an_image_behind_a_file_url(model: Path, films: Path) -> None:
    film = films / "a.png"
    before = film.read_bytes()
    for option in ("--json", "--html"):
        assert scan(model, film.as_uri(), option, film, "--restart").exit_code == 3
    assert film.read_bytes() == before


def test_no_output_goes_into_the_model(model: Path, films: Path) -> None:
    assert scan(model, films, "--json", model / "f.jsonl").exit_code == 3
    assert not (model / "f.jsonl").exists()


def test_a_page_takes_the_place_of_a_page_alone(model: Path, films: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.html"
    notes.write_text("precious")
    refused = scan(model, films, "--html", notes)
    assert refused.exit_code == 3
    assert "is not a page of findings" in refused.stderr
    assert notes.read_text() == "precious"
    for _ in range(2):
        assert scan(model, films, "--html", tmp_path / "page.html").exit_code == 0
    assert scan(model, films, "--html", notes, "--restart").exit_code == 0


@pytest.mark.parametrize("option", ["--heatmaps", "--overlays"])
def test_its_own_pictures_are_not_scanned(model: Path, films: Path, tmp_path: Path, option: str) -> None:
    for _ in range(2):
        out = ("--json", tmp_path / "f.jsonl", "--restart")
        assert scan(model, films, option, films / "drawn", *out).exit_code == 0
        assert len((tmp_path / "f.jsonl").read_text().splitlines()) == 3
    assert scan(model, films, option, films).exit_code == 3
    assert scan(model, films, option, tmp_path).exit_code == 3


def test_a_part_that_was_taken_away_is_scanned_again(model: Path, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "findings"
    scan(model, films / "a.png", "--parquet", folder)
    scan(model, films / "a.png", films / "b.png", "--parquet", folder)
    (folder / "part-00000.parquet").unlink()
    scan(model, films / "c.png", "--parquet", folder)
    assert sorted(Path(name).name for name in pq.read_table(folder)["file"].to_pylist()) == ["b.png", "c.png"]


@pytest.mark.parametrize("content", ["a\rb\n", "x" * 200_000 + "\n", '"' + "y" * 200_000 + "\n"])
def test_an_odd_table_is_left_alone(model: Path, films: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_bytes(content.encode())
    result = scan(model, films, "--csv", tmp_path / "t.csv")
    assert result.exit_code == 3
    assert "holds no findings" in result.stderr
    assert (tmp_path / "t.csv").read_bytes() == content.encode()


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null", "/dev/zero"])
def test_devices_are_written_to_and_never_read(model: Path, films: Path, device: str) -> None:
    result = scan(model, films, "--json", device)
    assert result.exit_code == (3 if device == "/dev/full" else 0)
    assert Path(device).is_char_device()


def test_a_closed_standard_output_is_a_sentence(model: Path, films: Path) -> None:
    command = f"{sys.executable} -m lungsight scan {films} --model {model} --json - >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_what_changes_in_a_watched_folder_is_new_after_a_restart_too(
    model: Path, films: Path, tmp_path: Path
) -> None:
    detector, record = Detector.load(model), tmp_path / "f.jsonl"
    name = str(films / "a.png")
    scan(model, films / "a.png", "--json", record)
    record.write_text(record.read_text() * 2)  # it had changed while the first watch went on
    outputs = Outputs(OutputPaths(json=record), detector)
    assert outputs.pass_by(name, once=True)
    assert not outputs.pass_by(name, once=True)
    outputs.close(complete=True)


@pytest.mark.parametrize("option", ["--json", "--csv", "--parquet"])
def test_what_failed_before_is_said_again(model: Path, films: Path, tmp_path: Path, option: str) -> None:
    (films / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for _ in range(2):
        assert scan(model, films, option, tmp_path / "out").exit_code == 1
    again = scan(model, films, option, tmp_path / "out")
    assert "3 files had been done before" in again.stdout
    assert "1 of them could not be read then" in again.stdout
    assert scan(model, films / "a.png", option, tmp_path / "out").exit_code == 0


def test_one_path_is_one_path(model: Path, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(films)
    scanner = Scanner(model)
    assert len(list(scanner.scan_many("."))) == 3
    assert len(list(scanner.scan_many(films / "a.png"))) == 1
    with pytest.raises(ValueError, match="threads"):
        Scanner(model, threads=-1)
