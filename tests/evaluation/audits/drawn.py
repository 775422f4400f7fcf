"""Chests of two boxes whose every grey is chosen, judged by the model that calls bright images COVID-19."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lungsight.components.lungs import Lungs
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, Preprocessing
from lungsight.statistics.outcomes import TRUTH

SIDE = 80
LUNGS = np.zeros((SIDE, SIDE), dtype=bool)
LUNGS[20:60, 14:36] = LUNGS[20:60, 44:66] = True


@dataclass
class KnownLungs:
    """A lung segmentation that finds the lungs that were drawn, or only one of them in the first images it is asked
    about; it keeps what it is asked."""

    mask: np.ndarray = field(default_factory=lambda: LUNGS)
    problems: tuple[str, ...] = ()
    implausible: int = 0
    asked: list[np.ndarray] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)

    def find(self, pixels: np.ndarray) -> Lungs:
        self.asked.append(pixels)
        if self.seen.setdefault(pixels.tobytes(), len(self.seen)) < self.implausible:
            return Lungs(self.mask, ("Only one lung was found.",))
        return Lungs(self.mask, self.problems)


def chests(
    folder: Path, count: int, lungs: Callable[[bool], float], around: Callable[[bool], float], source: str = "north"
) -> pd.DataFrame:
    """Rows of a manifest: every other image is positive; ``lungs`` and ``around`` give the mean grey inside and
    outside the lung fields, from whether it is."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(LUNGS.astype(np.uint8) * 255).save(folder / "mask.png")
    rows = []
    for i in range(count):
        positive, rng = bool(i % 2), np.random.default_rng([i, len(source)])
        inside, outside = (grey(positive) + rng.normal(0, 0.03) for grey in (lungs, around))
        pixels = np.where(LUNGS, inside, outside) + rng.normal(0, 0.05, (SIDE, SIDE))
        path = folder / f"{source}_{i:03}.png"
        Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(path)
        label = "covid19" if positive else "no_pneumonia"
        rows.append({"path": str(path), "label": label, "patient": f"p{i}", "source": source})
    return pd.DataFrame(rows).assign(lung_mask=str(folder / "mask.png"), split="train", view="PA", modality="CR")


def judged_by(
    package: Path,
    rows: pd.DataFrame,
    kind: str = INTERNAL,
    *,
    checker: ImageChecker | None = None,
    preprocessing: Preprocessing | None = None,
) -> tuple[Detector, TestSet]:
    """The model, and its predictions for the rows."""
    detector = Detector.load(ModelPackage.open(package), 1, features=True)
    if checker is not None:
        detector.checker = checker
    if preprocessing is not None:
        detector.preprocessing = preprocessing
        detector.description = detector.description.model_copy(update={"preprocessing": preprocessing})
    manifest = Manifest.of(rows.assign(split=""), "chests")
    truth = manifest.table["label"].replace("no_pneumonia", "other")
    testset = predict_manifest_images(detector, manifest.with_columns(**{TRUTH: truth}))
    return detector, testset.with_columns(**{KIND: kind})
