"""Sample images of libraries that lungsight installs: photographs, microscopy, textures, slices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from lungsight.datasets.ood_images.kinds import Films, Floats, Kind
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph

_FOUND: dict[str, tuple[Kind, dict[str, str]]] = {
    "photographs": (
        Kind.PICTURE,
        {
            "skimage": "data/astronaut.png data/camera.png data/chelsea.png data/coffee.png data/rocket.jpg "
            "data/motorcycle_left.png data/clock_motion.png data/hubble_deep_field.jpg",
            "sklearn": "datasets/images/china.jpg datasets/images/flower.jpg",
            "matplotlib": "mpl-data/sample_data/grace_hopper.jpg",
        },
    ),
    "microscopy": (
        Kind.PICTURE,
        {"skimage": "data/cell.png data/ihc.png data/microaneurysms.png data/retina.jpg data/moon.png"},
    ),
    "textures found": (
        Kind.PICTURE,
        {"skimage": "data/brick.png data/grass.png data/gravel.png data/coins.png"},
    ),
    "pages found": (
        Kind.DOCUMENT,
        {
            "skimage": "data/page.png data/text.png data/logo.png data/horse.png data/chessboard_GRAY.png "
            "data/color.png data/phantom.png",
            "matplotlib": "mpl-data/sample_data/logo2.png",
        },
    ),
    "slices found": (
        Kind.SLICE,
        {
            "pydicom": "data/test_files/CT_small.dcm data/test_files/MR_small.dcm data/test_files/693_J2KI.dcm "
            "data/test_files/JPEG2000.dcm data/test_files/examples_overlay.dcm data/test_files/examples_jpeg2k.dcm "
            "data/test_files/examples_ybr_color.dcm data/test_files/examples_palette.dcm"
        },
    ),
}
_LARGEST = 512


@dataclass(frozen=True)
class FoundFamily:
    """The sample images of one kind that are installed here."""

    name: str
    kind: Kind
    files: tuple[Path, ...]

    def draw(self, rng: np.random.Generator, films: Films) -> Floats:
        """A random part, at least half as wide and high, of a random image."""
        whole = _pixels(self.files[int(rng.integers(len(self.files)))])
        height, width = whole.shape
        rows, columns = (max(32, int(n * rng.uniform(0.5, 1))) for n in (height, width))
        top, left = (int(rng.uniform(0, max(n - m, 1))) for n, m in ((height, rows), (width, columns)))
        part = whole[top : top + rows, left : left + columns]
        return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def found_families() -> list[FoundFamily]:
    """Families of which at least one readable image is installed."""
    families = [FoundFamily(name, kind, tuple(_readable(places))) for name, (kind, places) in _FOUND.items()]
    return [family for family in families if family.files]


def _readable(places: dict[str, str]) -> list[Path]:
    files = [_folder(library) / name for library, names in places.items() for name in names.split()]
    return [file for file in files if file.is_file() and _pixels(file).size]


def _folder(library: str) -> Path:
    spec = find_spec(library)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nowhere")


@cache
def _pixels(file: Path) -> Floats:
    """The image, at most 512 pixels on its longer side; empty where it can't be read."""
    try:
        pixels = read_radiograph(file).pixels
    except UnreadableImageError:
        return np.zeros((0, 0), np.float32)
    scale = _LARGEST / max(pixels.shape)
    if scale < 1:
        pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)
    return pixels
