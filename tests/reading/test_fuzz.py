"""Damaged files: whatever is done to them, they are read or refused in a sentence; nothing crashes, hangs, or writes
to the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("fuzz_worker.py")
IMAGES = ("png8", "png16", "jpeg", "tiff", "webp", "bmp", "gif", "zip")
DEEP = ("png16-colour", "tiff-deep", "jpeg-deep", "jpeg-2000", "jpeg-xl")
DICOM = ("", "-deflated", "-rle", "-jpeg", "-jpeg-extended", "-jpeg-lossless", "-jpeg-ls", "-jpeg2000", "-htj2k")
FORMATS = (*IMAGES, *DEEP, *(f"dicom{syntax}" for syntax in DICOM))
PEAK_MIB = 3000


def read_mutants(seeds: Path, kind: str, first: int, count: int) -> None:
    command = [sys.executable, str(WORKER), str(seeds), kind, str(first), str(count)]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=3000, check=False)
    lines = run.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert run.returncode == 0, f"{kind}: exit status {run.returncode} at mutant {last}\n{run.stderr[-2000:]}"
    assert run.stderr == ""
    assert len(lines) == count + 1
    assert any("fault" in line for line in lines), "the mutations do no harm"
    assert int(last.removeprefix("peak ")) < PEAK_MIB


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_refused(fuzz_seeds: Path, kind: str) -> None:
    read_mutants(fuzz_seeds, kind, first=0, count=60)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", FORMATS)
def test_two_thousand_damaged_files_are_read_or_refused(fuzz_seeds: Path, kind: str) -> None:
    read_mutants(fuzz_seeds, kind, first=1000, count=2000)
