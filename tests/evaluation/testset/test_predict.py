"""Judging a manifest: the figures, the faults, and taking up again what was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from rich.progress import Progress

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.testset.predict import predict_manifest, predict_manifest_images
from lungsight.inference import Detector
from lungsight.package import Preprocessing
from lungsight.package.storage import FAMILIARITY, LUNG_FIELDS
from lungsight.reading import read_radiograph
from lungsight.scanning import Scanner
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS as DESCRIBED
from tiny_parts import tiny_familiarity, tiny_lung_fields


@pytest.fixture
def manifest(films: Callable[[Sequence[Any]], pd.DataFrame], film: type) -> Manifest:
    wanted = [film("covid19" if b > 0.5 else "no_pneumonia", b, f"p{b}") for b in (0.2, 0.45, 0.55, 0.8)]
    return Manifest.of(films(wanted), "north")


@pytest.fixture
def detector(make_package: Callable[[pd.DataFrame], Path], manifest: Manifest) -> Detector:
    return Detector.load(make_package(manifest.table.head(1).assign(split="train")), features=True)


def test_each_image_gets_the_probability_that_its_brightness_earns(detector: Detector, manifest: Manifest) -> None:
    table = predict_manifest(detector, manifest)
    for row in table.itertuples():
        brightness = np.asarray(Image.open(row.path)).mean() / 255
        margin = 16 * (brightness - 0.5)
        assert row.logit_covid19 - row.logit_other == pytest.approx(margin, abs=0.05)
        assert row.probability_covid19 == pytest.approx(1 / (1 + np.exp(-margin)), abs=0.01)
        assert row.probability_covid19 + row.probability_other == pytest.approx(1)
    assert table["prediction"].tolist() == ["other", "other", "covid19", "covid19"]
    assert table["path"].tolist() == manifest.table["path"].tolist()
    assert (table["sha256"].str.len() == 64).all()


def test_a_file_that_cannot_be_read_or_is_no_radiograph_says_why_and_the_others_are_judged(
    detector: Detector, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("L", (80, 80), 128).save(tmp_path / "blank.png")
    names = ("broken.png", "absent.png", "blank.png")
    added = pd.DataFrame({"path": [str(tmp_path / name) for name in names], "label": "x"})
    table = predict_manifest(detector, Manifest.of(pd.concat([added, manifest.table]), "mixed"))
    assert table["fault"].str.contains("|".join(names)).tolist() == [True] * 3 + [False] * 4
    assert table["prediction"].tolist() == ["", "", "", "other", "other", "covid19", "covid19"]
    assert table["probability_covid19"].isna().tolist() == [True] * 3 + [False] * 4


class Counting(Detector):
    """Counts the images that reach the network, and may stop after some."""

    seen = 0
    stop_after: int | None = None

    def predict_with_features(self, pixels: Any) -> Any:
        if self.stop_after is not None and self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(pixels)
        return super().predict_with_features(pixels)


def test_an_interrupted_run_is_taken_up_where_it_stopped(
    films: Callable[[Sequence[Any]], pd.DataFrame], film: type, detector: Detector, tmp_path: Path
) -> None:
    many = Manifest.of(films([film("covid19", 0.3 + i / 50, f"p{i}") for i in range(20)]), "north")
    cache = tmp_path / "kept.jsonl"
    counting = Counting.load(detector.package, features=True)
    counting.stop_after = 8
    with pytest.raises(KeyboardInterrupt):
        predict_manifest(counting, many, cache=cache)
    with cache.open("a") as file:
        file.write('[["cut by a ki')
    counting.seen, counting.stop_after = 0, None
    with Progress(disable=True) as progress:
        taken_up = predict_manifest(counting, many, cache=cache, progress=progress)
    assert counting.seen == 12
    pd.testing.assert_frame_equal(taken_up, predict_manifest(detector, many))
    counting.seen = 0
    predict_manifest(counting, many, cache=cache)
    assert counting.seen == 0


def test_a_changed_file_or_another_model_is_judged_again(
    detector: Detector, manifest: Manifest, tmp_path: Path
) -> None:
    cache = tmp_path / "kept.jsonl"
    predict_manifest(detector, manifest, cache=cache)
    ramp = np.linspace(200, 250, 96 * 80).reshape(80, 96).astype(np.uint8)
    Image.fromarray(ramp).save(manifest.table["path"][0])
    counting = Counting.load(detector.package, features=True)
    assert predict_manifest(counting, manifest, cache=cache)["prediction"][0] == "covid19"
    assert counting.seen == 1
    counting.seen, counting.model = 0, "another"
    predict_manifest(counting, manifest, cache=cache)
    assert counting.seen == 4


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
    table = pd.DataFrame({"path": [str(path)], "label": ["covid19"]})
    testset = predict_manifest_images(Detector.load(any_package, features=True), Manifest.of(table, "north"))
    row = testset.table.iloc[0]
    said = {name: row[f"probability_{name}"] for name in testset.classes}
    assert said == pytest.approx(finding.probabilities, abs=1e-9)
    whole = read_radiograph(path)  # what an image tells without being looked at is measured on the file itself
    assert testset.headers[["height", "width"]].iloc[0].tolist() == [whole.height, whole.width]
