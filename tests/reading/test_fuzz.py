"""Damaged files: whatever is done to them, they are read or refused in a sentence; nothing crashes, hangs, or writes
to the terminal."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from once import made_once

WORKER = Path(__file__).with_name("fuzz_worker.py")
IMAGES = ("png8", "png16", "jpeg", "tiff", "webp", "bmp", "gif", "zip")
DEEP = ("png16-colour", "tiff-deep", "jpeg-deep", "jpeg-2000", "jpeg-xl")
DICOM = ("", "-deflated", "-rle", "-jpeg", "-jpeg-extended", "-jpeg-lossless", "-jpeg-ls", "-jpeg2000", "-htj2k")
FORMATS = (*IMAGES, *DEEP, *(f"dicom{syntax}" for syntax in DICOM))
PEAK_MIB = 3000
FEW = 60


def read_mutants(seeds: Path, kinds: tuple[str, ...], first: int, count: int, reports: Path) -> Path:
    """The folder with the reports on these mutants of each kind."""
    command = [sys.executable, str(WORKER), str(seeds), str(reports), str(first), str(count), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=3000, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return reports


def refuse_harm(reports: Path, kind: str, count: int) -> None:
    status, said, error = (
        (reports / f"{kind}.{ending}").read_text(errors="replace") for ending in ("status", "out", "err")
    )
    lines = said.splitlines()
    last = lines[-1] if lines else "none"
    assert status == "0", f"{kind}: exit status {status} at mutant {last}\n{error[-2000:]}"
    assert error == ""
    assert len(lines) == count + 1
    assert any("fault" in line for line in lines), "the mutations do no harm"
    assert int(last.removeprefix("peak ")) < PEAK_MIB


@pytest.fixture(scope="module")
def reports(fuzz_seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a few mutants of every format, in one go: importing the decoders takes longer than reading these."""
    return made_once(tmp_path_factory, "mutants", partial(read_mutants, fuzz_seeds, FORMATS, 0, FEW))


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_refused(reports: Path, kind: str) -> None:
    refuse_harm(reports, kind, FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FORMATS)
def test_two_thousand_damaged_files_are_read_or_refused(fuzz_seeds: Path, tmp_path: Path, kind: str) -> None:
    refuse_harm(read_mutants(fuzz_seeds, (kind,), 1000, 2000, tmp_path), kind, 2000)
