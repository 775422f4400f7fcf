"""dcmtk as an independent reader: Debian's package of that name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

needs_dcmtk = pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk's dcm2pnm is not installed")


def shown_by_dcmtk(path: Path, *options: str) -> NDArray[np.float64]:
    """float64 [height, width] in 0…1, of 16 bits; ``options`` are dcm2pnm's, such as +Wm for the whole range."""
    image = path.with_suffix(".pgm")
    subprocess.run(["dcm2pnm", *options, "+opw", str(path), str(image)], check=True, capture_output=True)
    return np.asarray(Image.open(image), dtype=np.float64) / 65535
