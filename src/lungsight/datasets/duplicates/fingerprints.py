"""The fingerprints of a whole manifest: made once over several processes, then kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungsight._cores import cores
from lungsight.datasets.cache_folder import cache_folder
from lungsight.datasets.duplicates.fingerprint import THUMBNAIL_SIDE, Fingerprint, Thumbnail
from lungsight.datasets.duplicates.store import FingerprintStore
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.processes import mapped
from lungsight.errors import UnreadableImageError
from lungsight.reading import read_radiograph

#: Called with how many are done and how many there are.
Progress = Callable[[int, int], None]
#: Images that one process is given, and that are kept, at a time.
_BATCH = 32
#: Below this, starting processes takes longer than it saves.
_WORTH_PROCESSES = 4 * _BATCH


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """All images of a manifest, in its order.

    Attributes:
        files: sha256 of each file, ``""`` where it couldn't be read.
        pixels: sha256 of each image's decoded pixels, ``""`` where it couldn't be read.
        thumbnails: uint8 [n, THUMBNAIL_SIDE, THUMBNAIL_SIDE], zeros where the file couldn't be read.
        problems: by row, why the image couldn't be read.
    """

    files: tuple[str, ...]
    pixels: tuple[str, ...]
    thumbnails: Thumbnail
    problems: dict[int, UnreadableImageError]

    def __len__(self) -> int:
        return len(self.files)


def silent(done: int, total: int) -> None:
    """Show no progress."""


def fingerprint_manifest(
    manifest: Manifest, *, cache: Path | None = None, progress: Progress = silent, workers: int | None = None
) -> Fingerprints:
    """Fingerprint every image, over ``workers`` processes (as many as there are processors, if not given).

    Fingerprints are kept in the folder ``cache`` (if not given, the user's cache folder) by path, size and time of
    change. Images that can't be read become ``problems``.
    """
    paths = list(manifest.table["path"])
    distinct = list(dict.fromkeys(paths))
    with FingerprintStore.open(cache or cache_folder()) as store:
        found: dict[str, Fingerprint | UnreadableImageError] = {
            path: kept for path in distinct if (kept := store.get(path)) is not None
        }
        progress(len(found), len(distinct))
        missing = [path for path in distinct if path not in found]
        batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
        processes = workers or cores() if len(missing) >= _WORTH_PROCESSES else 1
        for made in mapped(_fingerprint_batch, batches, processes):
            store.add({path: result for path, result in made.items() if isinstance(result, Fingerprint)})
            found |= made
            progress(len(found), len(distinct))
    return _in_order([found[path] for path in paths])


def _fingerprint_batch(paths: Sequence[str]) -> dict[str, Fingerprint | UnreadableImageError]:
    return {path: _fingerprint(path) for path in paths}


def _fingerprint(path: str) -> Fingerprint | UnreadableImageError:
    try:
        return Fingerprint.of(read_radiograph(path))
    except UnreadableImageError as problem:
        return problem


def _in_order(found: Sequence[Fingerprint | UnreadableImageError]) -> Fingerprints:
    thumbnails = np.zeros((len(found), THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
    files, pixels, problems = [""] * len(found), [""] * len(found), {}
    for row, result in enumerate(found):
        if isinstance(result, UnreadableImageError):
            problems[row] = result
        else:
            files[row], pixels[row], thumbnails[row] = result.file, result.pixels, result.thumbnail
    return Fingerprints(tuple(files), tuple(pixels), thumbnails, problems)
