"""The worst misses and false alarms as pictures with their heat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lungsight.evaluation.failures import Failure, Failures
from lungsight.scanning.card import SmallImage, full_scale

#: The longer side of a picture, in pixels: six images, each twice, leave the page below a megabyte.
_SIDE = 448


@dataclass(frozen=True, eq=False)
class FailurePicture:
    """One image with what the page says of it."""

    failure: Failure
    image: SmallImage


@dataclass(frozen=True, eq=False)
class FailureRow:
    """The images of one sort, and how many there are in all."""

    failures: Failures
    pictures: tuple[FailurePicture, ...]

    @classmethod
    def of(cls, failures: Failures) -> FailureRow:
        """The images small enough for a page."""
        images = ((each, SmallImage.of(each.finding, _SIDE)) for each in failures.shown)
        return cls(failures, tuple(FailurePicture(each, image) for each, image in images if image is not None))


def full_colour(rows: Iterable[FailureRow]) -> float:
    """The logits that have the strongest colour in every picture."""
    images = (picture.image for row in rows for picture in row.pictures)
    return full_scale(image.map for image in images if image.map is not None)
