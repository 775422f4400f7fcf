import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungsight.components.input_gate import GateResult
from lungsight.inference import REFUSED, Detector, Finding, Status
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, Preprocessing
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile, read_radiograph
from lungsight.scanning import scan

Make = Callable[..., Radiograph]


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def ward(tmp_path: Path, make_radiograph: Make) -> list[Path]:
    """Twelve files, some of them bad, in an order of their own."""
    folder = tmp_path / "ward"
    folder.mkdir()
    files = [save(folder / f"film-{seed}.png", make_radiograph(seed).pixels) for seed in (5, 3, 9, 1, 7, 2, 8, 4)]
    (folder / "torn.png").write_bytes(files[0].read_bytes()[:200])
    (folder / "empty.dcm").write_bytes(b"")
    blank = save(folder / "blank.png", np.full((100, 100), 0.5))
    return [folder / "torn.png", *files[:4], blank, folder / "empty.dcm", *files[4:], folder / "missing.png"]


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 2), (4, 4), (50, 8)])
def test_findings_come_in_order_and_bad_files_stop_nothing(
    detector: Detector, ward: list[Path], batch_size: int, threads: int
) -> None:
    findings = list(scan(ward, detector, batch_size=batch_size, threads=threads))
    assert [finding.file for finding in findings] == [str(path) for path in ward]
    expected = {"torn.png": "error", "empty.dcm": "error", "missing.png": "error", "blank.png": "refused"}
    assert [str(finding.status) for finding in findings] == [expected.get(path.name, "read") for path in ward]


def test_each_finding_is_that_of_its_own_image(detector: Detector, ward: list[Path]) -> None:
    for finding in scan(ward, detector, batch_size=3, threads=3):
        if finding.status is Status.READ:
            (alone,) = detector.analyse([read_radiograph(finding.file)])
            assert finding.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_what_is_not_judged_says_why(detector: Detector, ward: list[Path]) -> None:
    by_name = {Path(finding.file).name: finding for finding in scan(ward, detector)}
    assert by_name["blank.png"].decision == REFUSED
    assert "blank" in by_name["blank.png"].reasons[0]
    for name in ("torn.png", "empty.dcm", "missing.png"):
        assert by_name[name].decision is None
        assert by_name[name].reasons[0].startswith(by_name[name].file)
    for finding in by_name.values():
        assert finding.model == detector.model
        assert finding.seconds > 0 or finding.status is Status.ERROR


def test_folders_and_zips_are_scanned(detector: Detector, phantoms: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in sorted(phantoms.iterdir()):
            archive.write(file, f"series/{file.name}")
    zipped, plain = list(scan([tmp_path / "study.zip"], detector)), list(scan([phantoms], detector))
    assert [finding.file.partition("!/")[2] for finding in zipped] == [
        f"series/{Path(finding.file).name}" for finding in plain
    ]
    assert [finding.probabilities for finding in zipped] == [finding.probabilities for finding in plain]


def test_few_images_are_held_at_a_time(
    detector: Detector, tmp_path: Path, make_radiograph: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(40):
        save(tmp_path / f"{seed:02}.png", make_radiograph(seed).pixels)
    read, lock, ahead = 0, threading.Lock(), []

    def counted(source: ImageFile, **how: Any) -> Radiograph:
        nonlocal read
        with lock:
            read += 1
        return read_radiograph(source, **how)

    monkeypatch.setattr(sys.modules[Preprocessing.__module__], "read_radiograph", counted)
    for done, _finding in enumerate(scan([tmp_path], detector, batch_size=2, threads=3)):
        ahead.append(read - done)
    assert read == 40
    assert max(ahead) <= 2 * 3 + 2 + 1  # under way, and the one that is handed out


def test_a_scan_that_is_given_up_leaves_no_threads(detector: Detector, ward: list[Path]) -> None:
    findings = scan(ward, detector, batch_size=1, threads=2)
    assert isinstance(next(iter(findings)), Finding)
    findings.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith(("reading", "judging", "finishing", "feeding")):
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_scanning_imports_neither_torch_nor_pandas(package: Path, phantoms: Path) -> None:
    program = f"""
import sys
from lungsight.cli import app
try:
    app(["scan", {str(phantoms)!r}, "--model", {str(package)!r}, "--html", {str(phantoms.parent / "page.html")!r}])
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"torch", "torchvision", "fastai", "timm", "pandas", "matplotlib", "scipy", "sklearn"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_phantoms_are_scanned_by_their_lungs(cropping: Path, phantoms: Path) -> None:
    detector = Detector.load(cropping, threads=1)
    findings = list(scan([phantoms], detector, batch_size=2, threads=2))
    assert len(findings) == len(list(phantoms.iterdir()))
    for finding in findings:
        assert finding.status is Status.READ
        assert finding.lungs is not None
        assert finding.lungs.box is not None
        assert finding.unfamiliarity is not None
        (alone,) = detector.analyse([read_radiograph(finding.file)])
        assert finding.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


class _Gate:
    """Refuses what is bright on the whole, and takes what is dark for inverted."""

    def ask(self, pixels: np.ndarray) -> GateResult:
        mean = float(pixels.mean())
        refusals = ("It is too bright.",) if mean > 0.7 else ()
        warnings = ("It was inverted.",) if mean < 0.2 else ()
        return GateResult(refusals, warnings, 0.5, mean < 0.2)


def test_the_gate_refuses_in_words_and_what_is_inverted_is_judged_the_right_way(
    package: Path, tmp_path: Path, make_radiograph: Make
) -> None:
    opened = ModelPackage.open(package)
    examiner = ImageChecker(gate=_Gate())  # type: ignore[arg-type]
    detector = Detector(opened, opened.network(1), examiner)
    pixels = np.clip(make_radiograph().pixels, 0.2, 0.8)
    files = {"bright": pixels * 0.4 + 0.6, "dark": pixels * 0.2 + 0.02, "plain": pixels}
    for name, shown in files.items():
        save(tmp_path / f"{name}.png", shown)
    assert all(finding.radiograph is None for finding in scan([tmp_path], detector))
    bright, dark, plain = scan([tmp_path], detector, keep_images=True)
    assert (bright.status, bright.decision, bright.reasons) == (Status.REFUSED, REFUSED, ("It is too bright.",))
    assert bright.map is None
    assert bright.radiograph is not None
    assert dark.status is plain.status is Status.READ
    assert "It was inverted." in dark.warnings
    assert "It was inverted." not in plain.warnings
    assert dark.radiograph is not None
    original = read_radiograph(tmp_path / "dark.png")
    np.testing.assert_allclose(dark.radiograph.pixels, 1 - original.pixels)
    turned = make_radiograph(pixels=np.asarray(1 - original.pixels, np.float32))
    (expected,) = Detector(opened, opened.network(1)).analyse([turned])
    assert dark.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
