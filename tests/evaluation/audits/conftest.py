"""A model that calls bright images COVID-19, and images whose brightness is chosen, judged by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import write_collection
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, TestSet
from lungsight.inference import Detector
from lungsight.package import ModelPackage
from lungsight.statistics.outcomes import TRUTH


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Patients of two hospitals, 120 of each, one image each."""
    folder = tmp_path_factory.mktemp("phantoms")
    return write_collection(folder, patients=240, seed=7, size=48, images_per_patient=(1, 1), workers=1)


@dataclass(frozen=True)
class JudgedModel:
    """A model and the images it judged."""

    detector: Detector
    testset: TestSet


def analyse(detector: Detector, rows: pd.DataFrame, internal: Sequence[str] = ()) -> TestSet:
    """The images of the manifest's ``rows``, judged; ``internal`` names the sources the model was trained on."""
    manifest = Manifest.of(rows, "films")
    classes = detector.description.classes
    truth = [label if label in classes else classes[-1] for label in manifest.table["label"]]
    testset = predict_manifest_images(detector, manifest.with_columns(**{TRUTH: truth}))
    kinds = [INTERNAL if source in internal else EXTERNAL for source in testset.table["source"]]
    return testset.with_columns(**{KIND: kinds})


@pytest.fixture
def tested(films: Callable, make_package: Callable[[pd.DataFrame], Path]) -> Callable[..., JudgedModel]:
    """Draw films, and judge them by the brightness model."""

    def make(wanted: Sequence[object], internal: Sequence[str] = ()) -> JudgedModel:
        rows = films(wanted)
        detector = Detector.load(ModelPackage.open(make_package(rows)), 1, features=True)
        return JudgedModel(detector, analyse(detector, rows, internal))

    return make
