"""One test image as it is and as an audit altered it: readers believe a picture sooner than a figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lungsight.alterations.image import AuditedImage
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.audits.perturbed_predictions import Perturbations
from lungsight.evaluation.testset.altered import exam_of
from lungsight.evaluation.testset.testset import EXTERNAL, TestSet
from lungsight.inference import Model
from lungsight.statistics.outcomes import Floats, Floats32, Mask

#: The longer side of a picture, in pixels: a page holds some twenty of them.
SIDE = 360


@dataclass(frozen=True)
class Illustrated:
    """Which of its alterations an audit shows.

    Attributes:
        alteration: its name in the store.
        words: what is done to the image, as a caption says it.
        positive: on an image with the disease, else on one without.
    """

    alteration: str
    words: str
    positive: bool = True


@dataclass(frozen=True, eq=False)
class Illustration:
    """One image before and after an alteration.

    It is the image whose probability changes by the median of all that were altered, so neither the best nor the
    worst case; of external sources where there are any.

    Attributes:
        words: what was done to it.
        source: where it is from.
        positive: whether it shows the disease.
        before: probability of the target as the image is.
        after: the same after the alteration.
        images: how many images the median is of.
        image: uint8 [height, width], as it is.
        altered: the same after the alteration.
    """

    words: str
    source: str
    positive: bool
    before: float
    after: float
    images: int
    image: NDArray[np.uint8]
    altered: NDArray[np.uint8]


def illustrations(
    model: Model,
    perturbations: Perturbations,
    wanted: Iterable[Illustrated],
    shown: TestSet,
    answers: Mapping[str, Floats],
) -> Iterator[Illustration]:
    """The typical image of each alteration; none where no image could be altered so, or its file can't be read.

    Args:
        model: the model.
        perturbations: the audit's.
        wanted: which alterations to show.
        shown: the images that were altered, n.
        answers: by alteration the probabilities, float [n, k].
    """
    target, before = shown.classes.index(shown.target), shown.score
    for one in wanted:
        after = answers[one.alteration][:, target]
        among = _among(shown, np.isfinite(after) & np.isfinite(before) & (shown.positive == one.positive))
        if not among.any():
            continue
        row = _typical(after - before, among)
        exam = _exam(model, shown, row)
        altered = None if exam is None else perturbations.alterations[one.alteration](exam)
        if exam is not None and altered is not None:
            yield Illustration(
                one.words,
                str(shown.table["source"].iloc[row]),
                one.positive,
                float(before[row]),
                float(after[row]),
                int(among.sum()),
                _small(exam.pixels),
                _small(altered),
            )


def _among(shown: TestSet, usable: Mask) -> Mask:
    external = usable & shown.of_kind(EXTERNAL)
    return external if external.any() else usable


def _typical(change: Floats, among: Mask) -> int:
    """The row of the median change; of an even number the lower of the two in the middle."""
    rows = np.flatnonzero(among)
    return int(rows[np.argsort(change[rows], kind="stable")[(len(rows) - 1) // 2]])


def _exam(model: Model, shown: TestSet, row: int) -> AuditedImage | None:
    stated = shown.table.iloc[row]
    try:
        radiograph = model.read(Path(str(stated["path"])))
    except UnreadableImageError:
        return None
    found = shown.lungs[row] if shown.lungs else None
    return exam_of(model, radiograph, model.check_input(radiograph), str(stated["lung_mask"]), found)


def _small(pixels: Floats32) -> NDArray[np.uint8]:
    height, width = pixels.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(np.clip(small, 0, 1) * 255), dtype=np.uint8)
