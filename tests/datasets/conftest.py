from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import draw

Films = list[NDArray[np.uint8]]


@pytest.fixture(scope="session")
def films() -> Films:
    """Simulated chest radiographs of 14 patients."""
    drawn = [draw(seed, "no_pneumonia", size=320).pixels for seed in range(14)]
    return [np.round(pixels * 255).astype(np.uint8) for pixels in drawn]


@pytest.fixture
def collection(tmp_path: Path) -> Callable[..., Manifest]:
    """Writes images as numbered PNG files, and their manifest."""

    def write(images: Sequence[NDArray[np.uint8]], **columns: Sequence[str]) -> Manifest:
        paths = [tmp_path / f"{number:03}.png" for number in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        rows = pd.DataFrame({"path": [str(path) for path in paths], "label": "no_pneumonia", **columns})
        return Manifest.of(rows, "films")

    return write
