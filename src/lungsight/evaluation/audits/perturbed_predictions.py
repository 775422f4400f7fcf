"""The same images, altered: what does the model say now? Asked once of each image and alteration, and kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pandas as pd

from lungsight.components.lungs import Box
from lungsight.components.preprocessing import Region
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.evaluation.testset.testset import INVERTED, TestSet
from lungsight.inference import Detector
from lungsight.package import Preprocessing
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.statistics.outcomes import FAULT, SHA256, TRUTH, Floats, Floats32, Integers, Mask

_AT_ONCE = 8
_PIXELS_AT_ONCE = 2**20
_IN_A_MASK = 0.5
_ASKED_OF, _FOUND = "asked_of", "found"


@dataclass(frozen=True, slots=True, eq=False)
class AuditedImage:
    """One image to alter.

    Attributes:
        pixels: float32 [height, width] in 0…1, at most twice as large as what the network sees.
        lungs: bool [height, width], the lung fields: of the manifest's mask or, where it names none, as a network
            found them; None where neither is to be had.
        seed: the image's own, so that what is random is the same at every call.
        region: the rectangle that the network sees of it; None for the whole.
    """

    pixels: Floats32
    lungs: Mask | None
    seed: int
    region: Region | None = None


#: From an exam to other pixels, float32 [height, width] in 0…1, or None where this image can't be altered so.
Alteration = Callable[[AuditedImage], Floats32 | None]


def audited_rows(testset: TestSet, at_most: int, *, seed: int = 0, among: Mask | None = None) -> Integers:
    """Rows of the images to alter: all that were judged, or a random ``at_most`` of them (under ``among``), as evenly
    spread over source and truth as their numbers allow."""
    table = testset.table
    usable = (table[FAULT] == "").to_numpy() & testset.has_truth.to_numpy(dtype=bool)
    rows = np.flatnonzero(usable if among is None else usable & among)
    rng = np.random.default_rng(seed)
    shuffled = pd.Series(rng.permutation(rows))
    groups = (table["source"] + "|" + table[TRUTH]).to_numpy(dtype=str)[shuffled.to_numpy()]
    turn = shuffled.groupby(groups).cumcount()
    chosen = shuffled.to_numpy()[np.argsort(turn.to_numpy(), kind="stable")][:at_most]
    return np.sort(chosen).astype(np.int64)


def predict_perturbed(
    detector: Detector,
    testset: TestSet,
    rows: Sequence[int] | Integers,
    alterations: Mapping[str, Alteration],
    *,
    cache: Path | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[str, Floats]:
    """Probabilities, float64 [rows, k], of the altered images by the name of the alteration; NaN where an image can't
    be altered so. A network that sees only the box around the lungs sees the altered image in the box found on the
    unaltered one: hiding the lungs must not move what it looks at. ``cache`` keeps the network's answers by model,
    file, lungs and alteration: a call that was cut off goes on. ``advance`` is told how many images were done."""
    kept = _Answers.read(cache, detector.model)
    images = testset.table.assign(**{_ASKED_OF: pd.Series(_asked_of(testset)), _FOUND: testset.found})
    asked = images[_ASKED_OF].to_numpy(dtype=str)[np.asarray(rows)]
    done = [all((image, name) in kept.logits for name in alterations) for image in asked]
    advance(sum(done))
    waiting = [row for row, is_done in zip(rows, done, strict=True) if not is_done]
    with kept:
        for batch in (waiting[i : i + _AT_ONCE] for i in range(0, len(waiting), _AT_ONCE)):
            _judge_batch(detector, images.iloc[list(batch)], alterations, kept)
            advance(len(batch))
    nothing = [np.nan] * len(testset.classes)
    answers = {
        name: np.array([kept.logits[image, name] or nothing for image in asked], dtype=np.float32)
        for name in alterations
    }
    return {name: detector.probabilities(logits) for name, logits in answers.items()}


def _asked_of(testset: TestSet) -> list[str]:
    """What an answer is kept by: the image's sha256 and, where lungs are named or found, their file as it is now, or
    the mask and box found: with other lungs the answer is another."""
    digests, masks = (testset.table[name].astype(str) for name in (SHA256, "lung_mask"))
    return [
        " ".join([digest, *([_state(mask)] if mask else []), *([lungs.digest] if lungs else [])])
        for digest, mask, lungs in zip(digests, masks, testset.found, strict=True)
    ]


def _state(file: str) -> str:
    try:
        state = os.stat(file)
    except OSError:
        return "unreadable"
    return f"{state.st_size} {state.st_mtime_ns} {file}"


def _judge_batch(
    detector: Detector, images: pd.DataFrame, alterations: Mapping[str, Alteration], kept: _Answers
) -> None:
    side = 2 * detector.description.preprocessing.image_size
    columns = ["path", _ASKED_OF, "lung_mask", _FOUND, *([INVERTED] if INVERTED in images else [])]
    rows = images[columns].astype(object).to_dict("records")
    with ThreadPoolExecutor(2) as readers:
        prepared = list(readers.map(lambda row: _altered(detector, row, alterations, side), rows))
    known = [(image, name, pixels) for one in prepared for image, name, pixels in one]
    seen = [pixels for _, _, pixels in known if pixels is not None]
    logits = iter(_logits(detector, seen))
    for image, name, pixels in known:
        kept.add(image, name, None if pixels is None else next(logits))


def _logits(detector: Detector, seen: Sequence[Floats32]) -> list[list[float]]:
    """Of prepared pictures, float32 [1, side, side], a few at a time: many alterations of a large picture don't fit
    in memory at once, and small batches aren't slower."""
    side = detector.description.preprocessing.image_size
    few = max(1, _PIXELS_AT_ONCE // side**2)
    return [
        logits
        for i in range(0, len(seen), few)
        for logits in detector.predict(np.stack(seen[i : i + few])).logits.tolist()
    ]


def _altered(
    detector: Detector, row: Mapping[Hashable, Any], alterations: Mapping[str, Alteration], side: int
) -> list[tuple[str, str, Floats32 | None]]:
    image = row[_ASKED_OF]
    try:
        radiograph = detector.read(row["path"])
    except UnreadableImageError:  # it was readable a moment ago
        return [(image, name, None) for name in alterations]
    if row.get(INVERTED):
        radiograph = replace(radiograph, pixels=np.asarray(1 - radiograph.pixels, dtype=np.float32))
    found, preprocessing = row[_FOUND], detector.description.preprocessing
    exam = audited_image(radiograph, row["lung_mask"], side, found)
    crop = found.crop if found else None
    exam = replace(exam, region=_region(preprocessing, exam.pixels, crop))
    changed = {name: alter(exam) for name, alter in alterations.items()}
    return [
        (image, name, None if pixels is None else preprocessing.apply(pixels, crop)[None])
        for name, pixels in changed.items()
    ]


def _region(preprocessing: Preprocessing, pixels: Floats32, crop: Box | None) -> Region | None:
    height, width = pixels.shape
    return None if crop is None else preprocessing.region(height, width, crop)


def audited_image(radiograph: Radiograph, lung_mask: str, side: int, found: LungMask | None = None) -> AuditedImage:
    """The radiograph with its lung fields, its longer side reduced to at most ``side``. A mask that can't be read
    counts as none; where there is none, the lungs found stand in for it if they are two plausible ones."""
    height, width = radiograph.pixels.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = radiograph.pixels if scale == 1 else cv2.resize(radiograph.pixels, size, interpolation=cv2.INTER_AREA)
    lungs = _mask(lung_mask, size) if lung_mask else None
    if lungs is None and found is not None and found.plausible:
        lungs = found.on(size[1], size[0])
    return AuditedImage(np.asarray(pixels, dtype=np.float32), lungs, int(radiograph.sha256[:8], 16))


def _mask(file: str, size: tuple[int, int]) -> Mask | None:
    try:
        mask = read_radiograph(file).pixels
    except UnreadableImageError:
        return None
    lungs = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > _IN_A_MASK
    return np.asarray(lungs, dtype=bool) if lungs.any() else None


class _Answers:
    """The network's answers so far, by file and alteration: logits [k], or None where the image can't be altered."""

    def __init__(self, cache: Path | None, model: str) -> None:
        self._cache, self._model = cache, model
        self.logits: dict[tuple[str, str], list[float] | None] = {}
        self._file: IO[str] | None = None

    @classmethod
    def read(cls, cache: Path | None, model: str) -> _Answers:
        kept = cls(cache, model)
        for line in cache.read_text("utf-8").splitlines() if cache and cache.is_file() else ():
            try:
                of_model, image, name, logits = json.loads(line)
            except ValueError:  # cut short by a kill
                continue
            if of_model == model:
                kept.logits[image, name] = logits
        return kept

    def __enter__(self) -> _Answers:
        if self._cache:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._cache.open("a", encoding="utf-8")
            self._file.write("\n")  # after a line that was cut short
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, image: str, name: str, logits: list[float] | None) -> None:
        self.logits[image, name] = logits
        if self._file:
            self._file.write(json.dumps([self._model, image, name, logits]) + "\n")
