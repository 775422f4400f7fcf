"""One small model and test set that ``evaluate`` really runs on, for the tests of everything the report shows.

Two phantom hospitals of two sites each, the first of which the tiny model is said to have trained on, and a third
source of noise without the disease. One file can't be read, and some images name no age or patient.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungsight.components.decision import Decision
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom.collection import write_collection
from lungsight.evaluation.evaluate import Settings, evaluate_package, evaluate_predictions
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.inference import Detector
from lungsight.package import ModelPackage, TrainingSource
from lungsight.package.storage import FAMILIARITY, LUNG_FIELDS
from lungsight.statistics.bootstrap import Resampling
from lungsight.training.fit_ood import fit_ood_detector
from once import made_once
from tiny_package import CLASSES, tiny_network, write_tiny
from tiny_parts import LUNG_FIELDS as LUNGS_DESCRIBED
from tiny_parts import tiny_lung_fields

#: 54 phantoms of each hospital, 18 of each class, are enough for an interval of every figure.
PHANTOMS, NOISE = 108, 12
INTERNAL, EXTERNAL, WITHOUT_TARGET = "phantom-north", "phantom-south", "west"
SETTINGS = Settings(
    prevalence=0.1,
    audit_images=60,
    resampling=Resampling(replicates=100),
    command="lungsight evaluate tiny --data all.csv --out tested",
)
RECIPE = {
    "backbone": "tiny",
    "classes": {name: [name] for name in CLASSES},
    "seed": 7,
    "batch_size": 8,
    "keep": "best",
    "select": [{"source": INTERNAL, "views": ["PA"]}],
    "split": {"unit": "patient", "validation": 0.15, "test": 0.15, "find_duplicates": True},
    "sampling": {"balance": ["class"], "images_per_epoch": 0},
    "augmentation": {"flip": 0.5, "rotate": 10.0},
    "stages": [{"epochs": 2, "frozen": True}, {"epochs": 5, "lr": [1e-5, 1e-3]}],
}


def write_images(folder: Path) -> Manifest:
    """The test set's images and their manifest, and a file that isn't one."""
    phantoms = write_collection(
        folder / "phantoms", patients=PHANTOMS, seed=3, size=80, images_per_patient=(1, 1), workers=1
    ).table
    phantoms = phantoms.assign(site=[f"{site} {'AB'[i % 2]}" for i, site in enumerate(phantoms["site"])])
    draw, rows = np.random.default_rng(1), []
    for i in range(NOISE + 1):
        path = folder / f"noise{i}.png"
        Image.fromarray(draw.integers(20, 200, (80, 80), dtype=np.uint8)).save(path)
        rows.append({"path": str(path), "label": CLASSES[1 + i % 2], "source": WITHOUT_TARGET, "view": "PA"})
    Path(rows[-1]["path"]).write_bytes(b"not an image")
    return Manifest.of(pd.concat([phantoms, pd.DataFrame(rows)], ignore_index=True), "all")


def write_model(folder: Path, images: Manifest) -> ModelPackage:
    """The tiny model, which predicts each class of some, with thresholds and a whole recipe.

    It has a lung segmentation and an out-of-distribution detector, for which a fifth of these images is too unlike.
    """
    network = tiny_network(gain=8.0, bias=(-2.9, -9.9, 18.5))
    plain = Detector.load(ModelPackage.open(write_tiny(folder / "plain", network)), 1, features=True)
    features = predict_manifest_images(plain, images).features
    assert features is not None
    features = features[np.isfinite(features).all(axis=1)]
    described, stored = fit_ood_detector(features, np.arange(len(features)) % 2, features, percentile=80)
    path = write_tiny(
        folder / "tiny",
        network,
        parts={LUNG_FIELDS: tiny_lung_fields(), FAMILIARITY: stored},
        lung_fields=LUNGS_DESCRIBED,
        familiarity=described,
        sources=(TrainingSource(name=INTERNAL, images=60, patients=50, labels={"covid19": 30, "no_pneumonia": 30}),),
        decision=Decision(
            low=0.25, high=0.4, aim_sensitivity=0.95, aim_specificity=0.95, chosen_on=30, patients=25, positives=10
        ),
        recipe=RECIPE,
        software={"torch": "2.14.1", "numpy": "2.3.0"},
    )
    return ModelPackage.open(path)


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What ``lungsight evaluate`` finds of the tiny model."""
    return made_once(tmp_path_factory, "evaluated", of_package)


@pytest.fixture(scope="session")
def bare(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What it finds of a few of the same probabilities as a table, without the model."""
    return made_once(tmp_path_factory, "predictions", lambda folder: of_predictions(folder, evidence))


def of_package(folder: Path) -> Evidence:
    """What ``lungsight evaluate`` finds of the tiny model."""
    images = write_images(folder)
    return evaluate_package(write_model(folder, images), [images], folder / "out", SETTINGS)


def of_predictions(folder: Path, evidence: Evidence) -> Evidence:
    """What it finds of six of the same probabilities of each source as a table."""
    wanted = ["path", *(f"probability_{name}" for name in CLASSES)]
    kept = evidence.testset.scored.table.groupby("source").head(6)
    kept[wanted].to_csv(folder / "theirs.csv", index=False)
    manifest = Manifest.of(kept[["path", "label", "patient", "source"]], "theirs")
    classes = {name: [name] for name in CLASSES}
    return evaluate_predictions(
        folder / "theirs.csv",
        [manifest],
        folder / "theirs",
        Settings(resampling=SETTINGS.resampling),
        classes=classes,
    )
