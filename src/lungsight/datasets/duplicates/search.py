"""The same image twice: the same file, the same pixels, or a re-encoded, mirrored or cropped copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np

from lungsight._cores import cores
from lungsight.datasets.duplicates.candidates import Candidate, find_candidates
from lungsight.datasets.duplicates.fingerprint import Thumbnail
from lungsight.datasets.duplicates.fingerprints import Fingerprints, Progress, silent
from lungsight.datasets.duplicates.registration import Registration, register
from lungsight.datasets.processes import mapped

#: Fine detail that agrees less is of two images; benchmarks/quality/duplicates.py measures it.
SIMILAR = 0.75
#: The same of phantoms, which share one anatomy: none of 33,670 pairs of different ones reaches it (the highest is
#: 0.87), and 118 of 150 copies do (128 px, seed 7100).
SIMILAR_PHANTOMS = 0.9
#: A part that leaves out more than this at one edge is a crop.
_CROPPED = 0.03
#: A thumbnail with less contrast than this, in grey levels, shows nothing that could be compared.
_PLAIN = 2.0
_BATCH = 256


class Kind(StrEnum):
    """How two images are the same, by what was done to one of them."""

    IDENTICAL_FILE = "identical file"
    IDENTICAL_PIXELS = "identical pixels"
    REENCODED = "re-encoded"
    MIRRORED = "mirrored"
    CROPPED = "cropped"
    MIRRORED_CROPPED = "mirrored and cropped"


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Rows ``first`` < ``second`` of a manifest hold one image.

    Attributes:
        similarity: how well fine detail correlates over three quarters of the image; 1 for identical pixels.
    """

    first: int
    second: int
    kind: Kind
    similarity: float


def find_duplicates(
    fingerprints: Fingerprints,
    *,
    simulated: Sequence[bool] = (),
    progress: Progress = silent,
    workers: int | None = None,
) -> list[DuplicatePair]:
    """Return all pairs of rows that hold the same image, in order of rows.

    Of several identical images only the first is paired with each of the others and compared with the rest. The
    search takes first those whose perceptual hashes lie close, then lays one image over the other. ``simulated`` says
    of each row whether it is a phantom: two of these must be more alike. ``progress`` counts first the search's
    steps, then the candidates.
    """
    readable = [row for row in range(len(fingerprints)) if row not in fingerprints.problems]
    pairs, distinct = _identical(fingerprints, readable)
    rows = [row for row in distinct if fingerprints.thumbnails[row].std() > _PLAIN]
    thumbnails = fingerprints.thumbnails[rows]
    candidates = _best_of_each_pair(find_candidates(thumbnails, progress))
    best: dict[tuple[int, int], DuplicatePair] = {}
    for candidate, found in _registered(candidates, thumbnails, workers or cores(), progress):
        first, second = sorted((rows[candidate.part], rows[candidate.whole]))
        are_phantoms = bool(simulated) and simulated[first] and simulated[second]
        if found is None or found.similarity < (SIMILAR_PHANTOMS if are_phantoms else SIMILAR):
            continue
        pair = DuplicatePair(first, second, _kind(candidate, found), round(found.similarity, 3))
        known = best.get((first, second))
        if known is None or known.similarity < pair.similarity:
            best[first, second] = pair
    return sorted([*pairs, *best.values()], key=lambda pair: (pair.first, pair.second))


def _identical(fingerprints: Fingerprints, rows: Sequence[int]) -> tuple[list[DuplicatePair], list[int]]:
    """Pairs of each identical image with its first, and the rows that are first."""
    by_file: dict[str, int] = {}
    by_pixels: dict[str, int] = {}
    pairs, distinct = [], []
    for row in rows:
        same_file = by_file.setdefault(fingerprints.files[row], row)
        same_pixels = by_pixels.setdefault(fingerprints.pixels[row], row)
        if same_file != row:
            pairs.append(DuplicatePair(same_file, row, Kind.IDENTICAL_FILE, 1.0))
        elif same_pixels != row:
            pairs.append(DuplicatePair(same_pixels, row, Kind.IDENTICAL_PIXELS, 1.0))
        else:
            distinct.append(row)
    return pairs, distinct


def _best_of_each_pair(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Two images may be a candidate in both directions: the likelier is the one in which the part is the part."""
    best: dict[tuple[int, int], Candidate] = {}
    for candidate in candidates:
        key = (min(candidate.part, candidate.whole), max(candidate.part, candidate.whole))
        if key not in best or best[key].likeness < candidate.likeness:
            best[key] = candidate
    return list(best.values())


def _registered(
    candidates: Sequence[Candidate], thumbnails: Thumbnail, workers: int, progress: Progress
) -> Iterator[tuple[Candidate, Registration | None]]:
    batches = [candidates[start : start + _BATCH] for start in range(0, len(candidates), _BATCH)]
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        # a file that all processes look into: sent to each of them, the thumbnails would fill the memory
        shared = Path(folder) / "thumbnails.npy"
        np.save(shared, thumbnails)
        processes = workers if len(batches) >= 2 * workers else 1
        found = mapped(partial(_register_batch, shared), batches, processes)
        for batch, results in zip(batches, found, strict=True):
            done += len(batch)
            progress(done, len(candidates))
            yield from zip(batch, results, strict=True)


def _register_batch(shared: Path, batch: Sequence[Candidate]) -> list[Registration | None]:
    thumbnails = np.load(shared, mmap_mode="r")
    return [register(each, np.array(thumbnails[each.part]), np.array(thumbnails[each.whole])) for each in batch]


def _kind(candidate: Candidate, found: Registration) -> Kind:
    if found.left_out > _CROPPED:
        return Kind.MIRRORED_CROPPED if candidate.mirrored else Kind.CROPPED
    return Kind.MIRRORED if candidate.mirrored else Kind.REENCODED
