"""A file has one answer, whether it is scanned or evaluated: the same probabilities and the same decision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from lungsight.components.decision import Decision
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.sections.decisions_table import decisions_of
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import DECISION, REFUSED, UNFAMILIAR, TestSet
from lungsight.inference import Detector, Status
from lungsight.package import ModelPackage, Preprocessing
from lungsight.package.storage import FAMILIARITY, GATE, LUNG_FIELDS
from lungsight.reading import read_radiograph
from lungsight.scanning import Scanner
from lungsight.scanning.scan import scan
from lungsight.statistics.outcomes import FAULT, TRUTH
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS as DESCRIBED
from tiny_parts import describe_gate, tiny_familiarity, tiny_gate, tiny_lung_fields

SHAPES = ("plain", "with a gate", "with a gate that refuses", "with lungs", "with an out-of-distribution detector")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One package for each of :data:`SHAPES`."""
    folder = tmp_path_factory.mktemp("packages")
    gate, lungs = {"gate": describe_gate()}, {"lung_fields": DESCRIBED}
    described, stored = tiny_familiarity(percentile=50)
    cropping = {"preprocessing": Preprocessing(image_size=32, geometry="lungs")}
    return {
        "plain": write_tiny(folder / "plain"),
        "with a gate": write_tiny(folder / "gate", parts={GATE: tiny_gate()}, **gate),
        "with a gate that refuses": write_tiny(folder / "strict", parts={GATE: tiny_gate(distance=9.0)}, **gate),
        "with lungs": write_tiny(folder / "lungs", parts={LUNG_FIELDS: tiny_lung_fields()}, **lungs, **cropping),
        "with an out-of-distribution detector": write_tiny(
            folder / "ood", parts={FAMILIARITY: stored}, familiarity=described
        ),
    }


@st.composite
def decisions(draw: Callable) -> Decision:
    """With thresholds or without."""
    low, high = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2)))
    stated = {"low": low, "high": high} if draw(st.booleans()) else {}
    return Decision(inconclusive_below=draw(st.floats(0, 1)), **stated)


@st.composite
def images(draw: Callable) -> NDArray[np.uint8]:
    """Coarse greys, some of them brighter at one side, some blank or tiny."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    greys = rng.integers(0, draw(st.sampled_from([1, 60, 200])), (8, 8)).astype(np.float64)
    greys += (
        draw(st.sampled_from([0, 80])) * np.linspace(1, 0, 8)
        + draw(st.sampled_from([0, 80])) * np.c_[np.linspace(draw(st.sampled_from([0, 1])), 0, 8)]
    )
    size = draw(st.sampled_from([(40, 50), (96, 80), (150, 200)]))
    return np.asarray(
        Image.fromarray(np.clip(greys, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    )


@example(
    "with lungs", Decision(), [np.tile(np.linspace(80, 0, 96).astype(np.uint8), (80, 1))]
)  # refused by its lungs
@given(st.sampled_from(SHAPES), decisions(), st.lists(images(), min_size=1, max_size=3))
@settings(deadline=None, max_examples=40)
def test_scan_and_evaluate_agree(
    packages: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    shape: str,
    decision: Decision,
    drawn: list[NDArray[np.uint8]],
) -> None:
    package = ModelPackage.open(packages[shape])
    package.description = package.description.model_copy(update={"decision": decision})
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{i}.png" for i in range(len(drawn))]
    for path, pixels in zip(paths, drawn, strict=True):
        Image.fromarray(pixels).save(path)
    findings = list(scan(paths, Detector.load(package, 1), threads=1))
    testset = evaluated(Detector.load(package, 1, features=True), paths)
    for finding, (_, row) in zip(findings, testset.table.iterrows(), strict=True):
        if row[FAULT]:  # header or pixels speak against it: refused by both
            assert finding.status is Status.REFUSED
            assert all(reason in row[FAULT] for reason in finding.reasons)
            continue
        assert row[DECISION] == finding.decision
        if finding.status is Status.REFUSED:  # predicted all the same, so that figures can be given without the gate
            assert row[REFUSED] == " ".join(finding.reasons)
            continue
        found = {name: row[f"probability_{name}"] for name in testset.classes}
        assert found == pytest.approx(finding.probabilities, abs=1e-9)
        assert bool(row.get(UNFAMILIAR, False)) == ((finding.unfamiliarity or 0) > 1)
    judged = testset.with_columns(**{TRUTH: testset.classes[0]}).where((testset.table[FAULT] == "").to_numpy())
    again = decisions_of(judged, decision, package.description.target)  # of all images at once
    assert list(again) == judged.table[DECISION].tolist()


def evaluated(detector: Detector, paths: list[Path]) -> TestSet:
    rows = pd.DataFrame({"path": [str(path) for path in paths], "label": "covid19"})
    return predict_manifest_images(detector, Manifest.of(rows, "north"))


def _written(pixels: NDArray[np.uint8], path: Path) -> Path:
    if path.suffix != ".dcm":
        Image.fromarray(pixels).save(path)
        return path
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module", params=["whole image", "box around the lungs"])
def any_package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages") / "tiny"
    if request.param == "whole image":
        return write_tiny(folder)
    familiarity, stored = tiny_familiarity()
    return write_tiny(
        folder,
        preprocessing=Preprocessing(image_size=32, geometry="lungs"),
        lung_fields=DESCRIBED,
        familiarity=familiarity,
        parts={LUNG_FIELDS: tiny_lung_fields(), FAMILIARITY: stored},
    )


@pytest.mark.parametrize("side", [700, 1100, 2000])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".dcm"])
def test_a_file_has_one_answer_whether_it_is_scanned_or_evaluated(
    any_package: Path, tmp_path: Path, suffix: str, side: int
) -> None:
    draw = np.random.default_rng(side)
    rows, columns = np.mgrid[: side // 3, : side // 4] / [[[side // 3]], [[side // 4]]]
    lungs = (abs(rows - 0.45) < 0.3) & (abs(abs(columns - 0.5) - 0.2) < 0.13)
    coarse = Image.fromarray((draw.integers(0, 60, lungs.shape) + np.where(lungs, 20, 160)).astype(np.uint8))
    path = _written(np.asarray(coarse.resize((side, side + 40))), tmp_path / f"film{suffix}")
    finding = Scanner(any_package).scan(path)
    assert finding.probabilities
    testset = evaluated(Detector.load(any_package, features=True), [path])
    row = testset.table.iloc[0]
    said = {name: row[f"probability_{name}"] for name in testset.classes}
    assert said == pytest.approx(finding.probabilities, abs=1e-9)
    whole = read_radiograph(path)  # what an image tells without being looked at is measured on the file itself
    assert testset.headers[["height", "width"]].iloc[0].tolist() == [whole.height, whole.width]
