"""Files that are made once from an image and kept: where they lie, and how many are made at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from lungsight._cores import cores
from lungsight.errors import UnreadableImageError

#: Makes the file ``place`` from ``image``, whole or not at all. Raises UnreadableImage.
Make = Callable[[str, Path], None]


def place_of(image: str, folder: Path) -> Path:
    """The kept file of an image. A changed image file (its size or its time) is another image. Raises
    UnreadableImage."""
    try:
        stat = os.stat(image)
    except OSError as error:
        raise UnreadableImageError(image, f"can't be read ({error.strerror})", "check the path") from error
    name = hashlib.sha256(f"{image}\0{stat.st_size}\0{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return folder / name.hexdigest()[:2] / f"{name.hexdigest()[2:34]}.npy"


def make_all(
    images: Sequence[str],
    folder: Path,
    make: Make,
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, UnreadableImageError]:
    """Make what is missing, over ``workers`` processes (default: one a core); answers the images that can't be read,
    with the reason."""
    missing = [image for image in dict.fromkeys(images) if not _is_made(image, folder)]
    advance(len(images) - len(missing))
    problems: dict[str, UnreadableImageError] = {}
    workers = workers or cores()
    if len(missing) < 4 * workers:
        for image in missing:
            problems |= _try(make, folder, image)
            advance(1)
        return problems
    with ProcessPoolExecutor(workers) as pool:
        for problem in pool.map(partial(_try, make, folder), missing, chunksize=8):
            problems |= problem
            advance(1)
    return problems


def _is_made(image: str, folder: Path) -> bool:
    try:
        return place_of(image, folder).is_file()
    except UnreadableImageError:
        return False


def _try(make: Make, folder: Path, image: str) -> dict[str, UnreadableImageError]:
    try:
        make(image, place_of(image, folder))
    except UnreadableImageError as problem:
        return {image: problem}
    return {}
