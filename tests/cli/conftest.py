"""A small model and a few images, for whatever command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_package import write_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("packages") / "tiny")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three images in a folder: ``a.png``, ``b.png`` and ``c.png``."""
    folder = tmp_path / "films"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(noise.integers(20, 200, (100, 80), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder
