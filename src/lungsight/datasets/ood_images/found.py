"""Sample images of libraries that lungsight installs: photographs, microscopy, textures, slices."""

from __future__ import annotations

import tomllib
from functools import cache, partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from lungsight.datasets.ood_images.kinds import Family, Floats, Kind, Radiographs
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph

_LARGEST = 512


def found_families() -> list[Family]:
    """Return the families of which at least one readable image is installed."""
    named = tomllib.loads(resources.files(__package__).joinpath("found.toml").read_text("utf-8"))
    families = []
    for name, places in named.items():
        kind = Kind(places.pop("kind"))
        if files := found_files(places):
            families.append(Family(name, kind, "found", partial(_part, files)))
    return families


def found_files(places: dict[str, str]) -> tuple[Path, ...]:
    """Return the readable files; ``places`` maps a library to paths below its folder, between spaces."""
    files = [_folder(library) / name for library, names in places.items() for name in names.split()]
    return tuple(file for file in files if file.is_file() and _pixels(file).size)


def _part(files: tuple[Path, ...], rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A random part, at least half as wide and high, of a random image."""
    whole = _pixels(files[int(rng.integers(len(files)))])
    height, width = whole.shape
    rows, columns = (max(32, int(n * rng.uniform(0.5, 1))) for n in (height, width))
    top, left = (int(rng.uniform(0, max(n - m, 1))) for n, m in ((height, rows), (width, columns)))
    part = whole[top : top + rows, left : left + columns]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


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
