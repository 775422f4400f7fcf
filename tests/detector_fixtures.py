"""A detector, and radiographs drawn for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.phantom import Label, draw
from lungsight.inference import Detector
from lungsight.package import Preprocessing
from lungsight.package.storage import FAMILIARITY, LUNG_FIELDS
from lungsight.radiograph import Radiograph, View
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS as DESCRIBED
from tiny_parts import tiny_familiarity, tiny_lung_fields


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("packages") / "tiny")


@pytest.fixture(scope="session")
def detector(package: Path) -> Detector:
    return Detector.load(package, threads=1)


@pytest.fixture
def make_detector(tmp_path: Path) -> Callable[..., Detector]:
    """A detector whose description differs in the fields given."""
    return lambda **changes: Detector.load(write_tiny(tmp_path / "other", **changes), threads=1)


@pytest.fixture(scope="session")
def cropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose detector sees the lungs' box alone, and knows what is unlike anything in training."""
    familiarity, stored = tiny_familiarity()
    return write_tiny(
        tmp_path_factory.mktemp("packages") / "cropping",
        preprocessing=Preprocessing(image_size=32, geometry="lungs"),
        lung_fields=DESCRIBED,
        familiarity=familiarity.model_copy(update={"threshold": 40.0}),
        parts={LUNG_FIELDS: tiny_lung_fields(), FAMILIARITY: stored},
    )


def chest(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    """Noise with a gradient: nothing like a chest, but neither blank nor saturated."""
    noise = np.random.default_rng(seed).uniform(0.2, 0.6, (height, width))
    return (noise + np.linspace(0, 0.3, width)).astype(np.float32)


@pytest.fixture
def make_radiograph() -> Callable[..., Radiograph]:
    def make(seed: int = 0, **known: object) -> Radiograph:
        stated: dict[str, object] = {
            "pixels": chest(seed),
            "file": f"film-{seed}.png",
            "sha256": f"{seed:064x}",
            "view": View.PA,
        }
        return Radiograph(**(stated | known))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a phantom of each label."""
    folder = tmp_path_factory.mktemp("phantoms")
    for seed, label in enumerate(Label):
        pixels = draw(seed, label, size=128).pixels
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(folder / f"{label}.png")
    return folder
