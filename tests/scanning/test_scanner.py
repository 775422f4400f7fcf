"""Scanning from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lungsight.components.runtime import runtimes
from lungsight.errors import LungsightError
from lungsight.inference import Finding, Status
from lungsight.package import ModelPackage
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile, read_radiograph
from lungsight.scanning import Scanner

Make = Callable[..., Radiograph]


@pytest.fixture
def film(phantoms: Path) -> Path:
    return sorted(phantoms.iterdir())[0]


def test_a_path_a_file_a_radiograph_and_its_pixels_have_one_finding(package: Path, film: Path) -> None:
    scanner = Scanner(package)
    radiograph = read_radiograph(film)
    images = [film, str(film), ImageFile.at(film), radiograph, radiograph.pixels]
    for finding in [scanner.scan(image) for image in images]:
        assert finding.status is Status.READ
        assert finding.model == scanner.model
        assert finding.probabilities == pytest.approx(scanner.scan(film).probabilities, abs=1e-6)
        assert finding.map is not None


def test_what_cannot_be_read_or_judged_is_a_finding_too(package: Path, tmp_path: Path, make_radiograph: Make) -> None:
    scanner = Scanner(ModelPackage.open(package))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    assert scanner.scan(tmp_path / "torn.png").status is Status.ERROR
    assert scanner.scan(tmp_path / "none.png").status is Status.ERROR
    blank = scanner.scan(np.full((100, 100), 0.5, np.float32))
    assert blank.status is Status.REFUSED


def test_pixels_are_left_as_they_are(package: Path, make_radiograph: Make) -> None:
    pixels = np.array(make_radiograph().pixels)
    before = pixels.copy()
    Scanner(package).scan(pixels)
    pixels[0, 0] = 0.5  # still the caller's to write to
    np.testing.assert_array_equal(pixels[1:], before[1:])


@pytest.mark.parametrize("runtime", runtimes())
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_same_image_has_the_same_answer_whatever_runs_it(
    cropping: Path, phantoms: Path, runtime: str, threads: int, batch_size: int
) -> None:
    expected = {finding.file: finding for finding in Scanner(cropping, threads=1).scan_many([phantoms])}
    scanner = Scanner(cropping, threads=threads, runtime=runtime)
    files = sorted(phantoms.iterdir(), reverse=True)
    findings: list[Finding] = list(scanner.scan_many(files, batch_size=batch_size))
    assert [finding.file for finding in findings] == [str(file) for file in files]
    for finding in findings:
        alone = expected[finding.file]
        assert finding.decision == alone.decision
        assert finding.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
        assert finding.map is not None
        assert alone.map is not None
        np.testing.assert_allclose(finding.map.values, alone.map.values, atol=1e-3)


def test_a_runtime_that_is_not_here_is_one_sentence(package: Path) -> None:
    with pytest.raises(LungsightError, match="abacus: is no runtime of this machine; give one of onnxruntime"):
        Scanner(package, runtime="abacus")
