"""A detector that keeps headers, and findings of phantoms in DICOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detector_fixtures import cropping
from dicom_phantom import phantom_dx, phantom_pixels
from image_files import dicom_bytes
from lungsight.inference import Detector, Finding
from lungsight.reading import ImageFile
from lungsight.scanning.scan import scan_found

__all__ = ["cropping"]


@pytest.fixture(scope="session")
def keeping(cropping: Path) -> Detector:
    return Detector.load(cropping, threads=1, keep_header=True)


@pytest.fixture
def found(keeping: Detector, tmp_path: Path) -> Callable[..., Finding]:
    """The finding of a phantom whose header is changed, with its image."""

    def find(seed: int = 0, pixels: NDArray[np.uint16] | None = None, **changes: Any) -> Finding:
        file = tmp_path / f"{seed}.dcm"
        stored = phantom_pixels(seed) if pixels is None else pixels
        file.write_bytes(dicom_bytes(phantom_dx(stored, str(seed), **changes)))
        return next(scan_found([ImageFile.at(file)], keeping, threads=1, keep_images=True))

    return find
