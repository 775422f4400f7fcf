"""A folder of everything that could go wrong: one sentence each, the rest is done, nothing hangs or fills memory."""

from __future__ import annotations

import csv
import json
import os
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from lungsight.datasets.phantom import Label, draw

COMMAND = [sys.executable, "-m", "lungsight", "scan"]
GIBIBYTES = 6 * 2**30


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.png"
    pixels = draw(1, next(iter(Label)), size=512).pixels
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)
    return path


def png_that_says(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def dicom(path: Path, pixels: bytes, rows: int, columns: int, syntax: str = ExplicitVRLittleEndian) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), syntax
    film = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Modality, film.PhotometricInterpretation, film.SamplesPerPixel = "DX", "MONOCHROME2", 1
    film.Rows, film.Columns = rows, columns
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelData = pixels
    film["PixelData"].VR = "OB"
    if syntax == JPEG2000Lossless:
        film["PixelData"].is_undefined_length = True
    film.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def zoo(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    sound = film.read_bytes()
    (folder / 'a line\nand another, "quoted".png').write_bytes(sound)
    (folder / os.fsdecode(b"not utf-8 \xff.png")).write_bytes(sound)
    (folder / "a.png").write_bytes(png_that_says(100_000, 100_000, zlib.compress(bytes(2**20))))
    (folder / "b.png").write_bytes(png_that_says(20_000, 20_000, zlib.compress(bytes(20_001 * 20_000), 1)))
    (folder / "c.png").write_bytes(sound[: len(sound) // 2])
    (folder / "d.png").write_bytes(b"")
    (folder / "e.jpg").write_bytes(b"\xff\xd8\xff\xe0" + os.urandom(5000))
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "round.png").symlink_to(folder / "round.png")
    os.mkfifo(folder / "pipe.png")
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
        bomb.writestr("sound.png", sound)
        with bomb.open("huge.png", "w", force_zip64=True) as member:
            for _ in range(600):
                member.write(bytes(2**20))
        bomb.writestr("../../outside.png", sound)
        bomb.writestr("inner.zip", b"PK\x03\x04")
    dicom(folder / "short.dcm", bytes(100), 2000, 2000)
    dicom(folder / "vast.dcm", bytes(100), 65_535, 65_535)
    item, end = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
    noise = item + bytes(4) + item + struct.pack("<I", 16) + b"\xff" * 16 + end + bytes(4)
    dicom(folder / "noise.dcm", noise, 512, 512, JPEG2000Lossless)
    return folder


def test_everything_that_could_go_wrong_at_once(zoo: Path, tmp_path: Path) -> None:
    outputs = ["--json", "f.jsonl", "--csv", "f.csv", "--html", "f.html", "--heatmaps", "maps", "--overlays", "over"]
    done = subprocess.run(
        [*COMMAND, zoo, *outputs], cwd=tmp_path, capture_output=True, timeout=240, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES, GIBIBYTES)),
    )  # fmt: skip
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 1, said
    assert "Traceback" not in said
    findings = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    testset = [finding["file"] for finding in findings if finding["status"] == "read"]
    assert len(testset) == 4, "two in the folder, two in the archive"
    problems = {Path(one["file"]).name: one["reasons"] for one in findings if one["status"] == "error"}
    for name in ("a.png", "b.png", "c.png", "d.png", "e.jpg", "nowhere.png", "round.png", "short.dcm", "vast.dcm"):
        assert len(problems[name]) == 1, name
        assert problems[name][0].endswith("."), name
        assert "\n" not in problems[name][0], name
    assert any("huge.png" in one["file"] for one in findings if one["status"] == "error")
    assert len(list(csv.reader((tmp_path / "f.csv").open()))) == len(findings) + 1
    assert len(list((tmp_path / "maps").iterdir())) == 4
    assert not list(tmp_path.parent.glob("outside.png"))


OUTPUTS = dict.fromkeys(("--json", "--csv", "--heatmaps", "--overlays", "--parquet"), "out") | {"--html": "out.html"}
#: Scans ``films`` with each output, first while no file may grow beyond some bytes, then without that limit.
FILLING_UP = """
import json, resource, sys
from typer.testing import CliRunner
from lungsight.cli import app

model, outputs = sys.argv[1], json.loads(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
ends = {}
for option, out in outputs.items():
    words = ["scan", "films", "--model", model, option, option.strip("-") + out]
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    full = CliRunner().invoke(app, words)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    again = CliRunner().invoke(app, [*words, "--json", option.strip("-") + ".jsonl"] if option != "--json" else words)
    ends[option] = [full.exit_code, full.stderr, again.exit_code, again.stderr]
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def filled_up(film: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """The folder of these scans, and each one's exit status and errors: under the limit, and again without it."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "films").mkdir()
    for number in range(3):
        (folder / "films" / f"{number}.png").write_bytes(film.read_bytes())
    command = [sys.executable, "-c", FILLING_UP, model, json.dumps(OUTPUTS)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_disk_that_fills_up_is_one_sentence_and_what_was_written_is_whole(
    filled_up: tuple[Path, dict[str, list[Any]]], output: str
) -> None:
    """A limit to a file's size is what a test can set for a full disk: the system refuses to write on."""
    folder, ends = filled_up
    status, said, status_again, said_again = ends[output]
    assert status == 3, said
    assert "Traceback" not in said
    assert "can't be written" in said
    assert len(said.strip().splitlines()) == 1
    assert status_again == 0, said_again
    lines = folder / f"{output.strip('-')}{OUTPUTS[output] if output == '--json' else '.jsonl'}"
    assert [json.loads(line)["status"] for line in lines.read_text().splitlines()] == ["read"] * 3


def test_a_package_with_a_wrong_hash_is_never_used(film: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    bundled = Path(__file__).parents[2] / "src/lungsight/bundled/released"
    package.mkdir()
    for file in bundled.iterdir():
        (package / file.name).write_bytes(file.read_bytes())
    content = bytearray((package / "network.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (package / "network.onnx").write_bytes(content)
    done = subprocess.run(
        [*COMMAND, film, "--model", package, "--json", "f.jsonl"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "network.onnx was altered" in done.stderr
    assert not (tmp_path / "f.jsonl").exists()
