import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.pixels import set_pixel_data
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from typer.testing import CliRunner, Result

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from lungsight.components.lungs import Box
from lungsight.datasets.phantom import Label, draw
from lungsight.package import Decision, Preprocessing, bundled, storage
from lungsight.scanning.page import MOST_SHOWN
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS, tiny_familiarity, tiny_lung_fields

KEYS = [
    "file",
    "status",
    "verdict",
    "category",
    "probabilities",
    "heatmap",
    "overlay",
    "lungs",
    "unfamiliarity",
    "age",
    "sex",
]
KEYS += [
    "view",
    "view_from",
    "view_ap",
    "arrived",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "accession_number",
]
KEYS += ["patient_id", "placement", "refused_by", "reasons", "warnings", "model", "model_grade", "seconds"]


def lungsight(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


def test_every_output_tells_the_same(model: Path, films: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    files = {"--json": out / "f.jsonl", "--csv": out / "f.csv", "--html": out / "f.html", "--heatmaps": out / "heat"}
    result = lungsight("scan", films, "--model", model, *(part for pair in files.items() for part in pair))
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in files["--json"].read_text(encoding="utf-8").splitlines()]
    assert all(list(line) == KEYS for line in lines)
    assert [line["file"] for line in lines] == [str(films / f"{name}.png") for name in "abc"]
    with files["--csv"].open(newline="") as table:
        assert [row["file"] for row in csv.DictReader(table)] == [line["file"] for line in lines]
    html = files["--html"].read_text(encoding="utf-8")
    for line in lines:
        assert Image.open(line["heatmap"]).size == (80, 100)
        assert f"<h3>{line['file']}</h3>" in html
        assert line["file"].rpartition("/")[2] in result.stdout.replace("\n", "")
    assert RESEARCH_ONLY in result.stdout


def test_json_on_stdout_leaves_it_to_json(model: Path, films: Path) -> None:
    result = lungsight("scan", films, "--model", model, "--json", "-")
    assert [Path(json.loads(line)["file"]).name for line in result.stdout.splitlines()] == ["a.png", "b.png", "c.png"]
    assert RESEARCH_ONLY in result.stderr


def test_one_bad_file_gives_exit_status_1_and_the_rest_is_done(model: Path, films: Path, tmp_path: Path) -> None:
    (films / "b.png").write_bytes(b"")
    result = lungsight("scan", films, "--model", model, "--json", tmp_path / "f.jsonl")
    assert result.exit_code == 1
    statuses = [json.loads(line)["status"] for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert statuses == ["read", "error", "read"]
    assert "the file is empty" in result.stdout


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_the_patients_id_is_written_only_when_asked_for(model: Path, tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.PatientID, film.AccessionNumber = "SECRET-4711", "A7"
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    pixels = np.round(draw(1, Label.NO_PNEUMONIA, size=128).pixels * 255).astype(np.uint8)
    set_pixel_data(film, pixels, "MONOCHROME2", 8, generate_instance_uid=False)
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    outputs = ["--json", tmp_path / "f.jsonl", "--csv", tmp_path / "f.csv", "--html", tmp_path / "f.html"]
    arguments = ["scan", tmp_path / "film.dcm", "--model", model, "--engine", engine, *outputs]
    assert lungsight(*arguments).exit_code == 0
    assert not any(b"SECRET-4711" in path.read_bytes() for path in tmp_path.glob("f.*"))
    stated = json.loads((tmp_path / "f.jsonl").read_text())
    assert (stated["sop_instance_uid"], stated["accession_number"], stated["patient_id"]) == ("1.2.3", "A7", None)
    assert lungsight(*arguments, "--keep-identifiers", "--restart").exit_code == 0
    assert json.loads((tmp_path / "f.jsonl").read_text())["patient_id"] == "SECRET-4711"
    assert "SECRET-4711" in (tmp_path / "f.csv").read_text()


def test_a_refused_image_is_no_error(model: Path, tmp_path: Path) -> None:
    Image.new("L", (200, 200), 90).save(tmp_path / "blank.png")
    result = lungsight("scan", tmp_path / "blank.png", "--model", model)
    assert result.exit_code == 0
    assert "1 refused" in result.stdout


def test_an_empty_folder_is_said_to_be_empty(model: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = lungsight("scan", tmp_path / "nothing", "--model", model)
    assert result.exit_code == 1
    assert "there is no image in it" in result.stdout


@pytest.mark.parametrize("what", ["path", "model", "altered"])
def test_bad_input_is_one_sentence_and_exit_status_3(model: Path, films: Path, tmp_path: Path, what: str) -> None:
    path, package = films, model
    if what == "path":
        path = tmp_path / "no-such-folder"
    elif what == "model":
        package = tmp_path / "no-such-model"
    else:
        package = write_tiny(tmp_path / "altered")
        (package / "network.onnx").write_bytes(b"other")
    result = lungsight("scan", path, "--model", package, "--json", tmp_path / "f.jsonl")
    assert result.exit_code == 3
    assert len(result.stderr.strip().splitlines()) == 1
    assert re.search(r"no such|was altered", result.stderr)
    assert not (tmp_path / "f.jsonl").exists()


@pytest.mark.parametrize("option", ["--json", "--csv", "--html"])
@pytest.mark.parametrize("by_name", [True, False])
def test_no_output_takes_the_place_of_an_image(model: Path, films: Path, option: str, by_name: bool) -> None:
    image = films / "a.png"
    before = image.read_bytes()
    result = lungsight(
        "scan", image if by_name else films, "--model", model, option, films / ".." / "films" / "a.png"
    )
    assert result.exit_code == 3
    assert "would be overwritten" in result.stderr
    assert image.read_bytes() == before


@pytest.mark.parametrize("outputs", [("--json", "-", "--csv", "-"), ("--json", "f", "--csv", "./f"), ("--html", "-")])
def test_outputs_that_would_spoil_each_other_are_wrong_usage(
    model: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lungsight("scan", films, "--model", model, *outputs).exit_code == 2
    assert not list(tmp_path.glob("-*")) + list(tmp_path.glob("f"))


def test_a_page_that_is_a_folder_is_known_before_the_scan(model: Path, films: Path, tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    result = lungsight("scan", films, "--model", model, "--html", tmp_path / "page")
    assert result.exit_code == 3
    assert "page: is a folder or a device; give --html the path of a file." in result.stderr
    assert not list(tmp_path.glob("*.part"))


def test_more_threads_than_cores_are_no_more_than_cores(model: Path, films: Path) -> None:
    assert lungsight("scan", films, "--model", model, "--threads", 100_000).exit_code == 0


def test_one_missing_path_among_others_is_an_error_of_its_own(model: Path, films: Path) -> None:
    result = lungsight("scan", films / "a.png", films / "missing.png", "--model", model)
    assert result.exit_code == 1
    assert "there is no such file" in result.stdout


def test_the_table_is_cut_where_nobody_would_read_on(model: Path, films: Path) -> None:
    for number in range(120):
        (films / f"copy-{number:03}.png").write_bytes((films / "a.png").read_bytes())
    result = lungsight("scan", films, "--model", model)
    assert "… and 23 more" in result.stdout
    assert "123 files:" in result.stdout
    assert "123 files: The file doesn't say its view" in " ".join(result.stdout.split())


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_keeps_what_was_found(model: Path, films: Path, tmp_path: Path) -> None:
    image = (films / "a.png").read_bytes()
    for number in range(3000):
        (films / f"copy-{number:04}.png").write_bytes(image)
    lines, page = tmp_path / "f.jsonl", tmp_path / "f.html"
    program = "from lungsight.cli import main; main()"
    arguments = ["scan", films, "--model", model, "--json", lines, "--html", page, "--heatmaps", tmp_path / "heat"]
    scanning = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a suite that a shell runs in the background ignores interrupts, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (lines.exists() and lines.stat().st_size > 2000) and time.monotonic() < deadline:
        time.sleep(0.02)
    scanning.send_signal(signal.SIGINT)
    _, said = scanning.communicate(timeout=60)
    assert scanning.returncode == 130
    assert "Traceback" not in said
    found = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert 0 < len(found) < 3003
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert any((tmp_path / "f.html.images").iterdir())  # the next scan goes on with them
    assert abs(page.read_text(encoding="utf-8").count("<h3>") - min(len(found), MOST_SHOWN)) <= 1
    assert not list(tmp_path.rglob("*.part"))


def test_without_a_model_the_bundled_one_scans(
    model: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_FOLDER", tmp_path / "bundled")
    missing = lungsight("scan", films)
    assert missing.exit_code == 3
    assert missing.stderr.strip().splitlines() == [
        "released: no model is bundled with this installation; give a model package by --model, or install lungsight "
        "anew."
    ]
    shutil.copytree(model, tmp_path / "bundled" / "released")
    by_default, by_name, by_path = (
        lungsight("scan", films, *options) for options in ((), ("--model", "released"), ("--model", model))
    )
    assert by_default.exit_code == 0
    assert by_default.stdout == by_name.stdout == by_path.stdout


def test_phantoms_by_their_lungs_with_every_output(tmp_path: Path) -> None:
    familiarity, stored = tiny_familiarity()
    model = write_tiny(
        tmp_path / "whole",
        preprocessing=Preprocessing(image_size=32, geometry="lungs"),
        lung_fields=LUNG_FIELDS,
        familiarity=familiarity,
        parts={storage.LUNG_FIELDS: tiny_lung_fields(), storage.FAMILIARITY: stored},
    )
    films = tmp_path / "phantoms"
    films.mkdir()
    for seed in range(2):
        pixels = draw(seed, Label.NO_PNEUMONIA, size=160).pixels[10:150]
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(films / f"{seed}.png")
    Image.new("L", (100, 100), 90).save(films / "blank.png")
    lines, page, heat = tmp_path / "f.jsonl", tmp_path / "f.html", tmp_path / "heat"
    result = lungsight("scan", films, "--model", model, "--json", lines, "--html", page, "--heatmaps", heat)
    assert result.exit_code == 0, result.output
    first, second, blank = (json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines())
    assert (blank["status"], blank["lungs"], blank["unfamiliarity"]) == ("refused", None, None)
    html = page.read_text(encoding="utf-8")
    assert "is the outline of the lungs" in html
    assert "The image is blank" in html
    for line in (first, second):
        left, top, right, bottom = line["lungs"]["box"]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        grey = np.asarray(Image.open(line["heatmap"]))
        assert grey.shape == (140, 160)
        region = Preprocessing(image_size=32, geometry="lungs").region(140, 160, Box(left, top, right, bottom))
        beside = np.ones(grey.shape, bool)
        beside[region.top : region.bottom, region.left : region.right] = False
        assert beside.any()
        assert (grey[beside] == 0).all()


def test_the_page_opens_in_the_browser(
    model: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or address.endswith("f.html"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    named = lungsight("scan", films / "a.png", "--model", model, "--html", tmp_path / "f.html", "--open")
    assert f"The page: {tmp_path / 'f.html'}" in named.stdout
    unnamed = lungsight("scan", films / "a.png", "--model", model, "--open")
    (page,) = tmp_path.glob("lungsight-*/findings.html")
    assert opened == [(tmp_path / "f.html").as_uri(), page.as_uri()]
    assert f"There is no browser here. The page: {page}" in unnamed.stdout
    assert lungsight("scan", films, "--model", model, "--open", "--watch").exit_code == 2


def test_a_page_is_not_written_under_the_name_of_a_pdf(model: Path, films: Path, tmp_path: Path) -> None:
    result = lungsight("scan", films, "--model", model, "--html", tmp_path / "finding.pdf")
    assert result.exit_code == 3
    assert "a browser prints the page to PDF" in result.stderr
    assert not (tmp_path / "finding.pdf").exists()


def test_the_terminal_names_classes_as_people_do_and_says_a_reason_once(films: Path, tmp_path: Path) -> None:
    decision = Decision(low=0.0, high=1.0, aim_sensitivity=0.95, aim_specificity=0.95)
    open_ = write_tiny(tmp_path / "open", decision=decision)
    said = lungsight("scan", films, "--model", open_).stdout
    assert said.count("Inconclusive: the probability of COVID-19 is at least 0 % and below 100 %.") == 1
    assert len(re.findall(r"^inconclusive +\S+ % ", said, re.MULTILINE)) == 3
    assert "COVID-19" in said.splitlines()[0]
    assert "covid19" not in said
    none = write_tiny(tmp_path / "none", decision=Decision(low=1.0, high=1.0))
    said = lungsight("scan", films, "--model", none).stdout
    assert len(re.findall(r"^no sign of COVID-19 +\S+ % ", said, re.MULTILINE)) == 3
    assert "3 no sign of COVID-19" in said
