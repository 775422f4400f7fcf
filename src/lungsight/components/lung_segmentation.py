"""Where the lungs are on a radiograph, and whether they are two plausible ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lungsight.components.connected_components import hull_area
from lungsight.components.lungs import Lungs, Mask, split_sides, two_largest
from lungsight.components.preprocessing import Preprocessing, sound
from lungsight.components.runtime import AUTO, open_network
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.reading.reduction import reduced_pixels

Floats = NDArray[np.float32]

OUTPUT = "lungs"
_AT_ONCE = 8
#: How many times the network's side an image keeps of its shorter side before it is squashed.
_OVER = 2
_FLAT = 1e-3

# Bounds on two plausible lungs, as fractions of the squashed image. Each lies just outside what is found on 3,948
# real radiographs of five collections, children and very ill patients among them, but for the few where the network
# plainly failed; docs/explanation/lung-segmentation.md has the figures. They are to catch what can't be two lungs,
# not what is unusual: an image of somebody who has lost a lung is told so, too.
_SMALLEST, _LARGEST = 0.02, 0.35
_LEAST_OF_THE_OTHER = 0.2
_SIDE_BY_SIDE, _ABOVE_ANOTHER = 0.5, 0.3
_FLATTEST, _NARROWEST = 0.7, 5.5
_LEAST_SOLID = 0.5
_LEAST_CERTAIN = 0.65
_CUT = {"left": 0.6, "right": 0.6, "top": 0.75, "bottom": 0.5}


class LungSegmentationDescription(BaseModel):
    """What ``package.json`` says of the lung-field network."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image_size: int = Field(ge=32, le=1024)
    """Side of the network's square input, in pixels."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on a pixel is lung."""
    trained_on: dict[str, int]
    """Radiographs with lung masks it was trained on, by source and site."""
    initial_weights: str = "not stated"
    """What the network started from."""


class LungSegmentation:
    """The lung-field network at work. Safe to call from several threads.

    Args:
        onnx_file: the bytes of ``lung_fields.onnx``: input ``pixels`` float32 [N, 1, side, side], output ``lungs``
            float32 [N, 1, side, side], logits.
        threads: cores to use for one batch; 0: all of them.
        runtime: what runs it: :mod:`lungsight.components.runtime`.

    Raises:
        UnusableNetworkError: not ONNX, not self-contained, with operators of its own, or off the contract.
    """

    def __init__(
        self, onnx_file: bytes, description: LungSegmentationDescription, threads: int = 0, runtime: str = AUTO
    ) -> None:
        self.description = description
        self.network = open_network(onnx_file, (OUTPUT,), threads, runtime)

    def read(self, source: Path | str) -> Radiograph:
        """The image in a file, with as few pixels as finding its lungs needs. Raises UnreadableImageError."""
        return read_radiograph(source, at_least=_OVER * self.description.image_size)

    def find(self, pixels: Floats) -> Lungs:
        """The lungs of one image, float32 [height, width] in 0…1; of any such array, if only that it shows none."""
        return self.find_many([pixels])[0]

    def find_many(self, images: Sequence[Floats]) -> list[Lungs]:
        """As :meth:`find`, for radiographs of whatever sizes, a few at a time through the network."""
        return [lungs for batch in _batches(images, _AT_ONCE) for lungs in self._find(batch)]

    def _find(self, images: Sequence[Floats]) -> list[Lungs]:
        side = self.description.image_size
        seen = np.stack([network_input(pixels, side) for pixels in images])[:, None]
        (logits,) = self.network.run((OUTPUT,), seen)
        return [lungs_of(image[0], self.description.threshold) for image in logits]


def network_input(pixels: Floats, side: int) -> Floats:
    """What the network sees of a radiograph, float32 [side, side]: squashed into a square, its greys stretched."""
    given = np.asarray(pixels, dtype=np.float32)
    if given.ndim != 2 or not given.size:
        raise ValueError(f"a radiograph is a plane of pixels, not an array of shape {given.shape}")
    return stretched(Preprocessing(image_size=side).apply(reduced_pixels(sound(given), _OVER * side)))


def stretched(pixels: Floats) -> Floats:
    """The 1st and the 99th percentile drawn to 0 and 1, so that a dark image looks like a bright one.

    Done on the small image: on the original the percentiles would take longer than all the rest.
    """
    low, high = np.percentile(pixels, (1, 99))
    if high - low < _FLAT:
        return pixels
    return np.asarray(np.clip((pixels - low) / (high - low), 0.0, 1.0), dtype=np.float32)


def lungs_of(logits: Floats, threshold: float) -> Lungs:
    """The two largest pieces of what the network calls lung, their holes filled, and what is wrong with them.

    Args:
        logits: of each pixel being lung, [side, side].
        threshold: the probability from which on it is.
    """
    mask = two_largest(logits >= np.log(threshold / (1 - threshold)))
    return Lungs(mask, implausibilities(mask, _certainty(logits[mask])))


def _certainty(logits: Floats) -> float:
    """How far from a coin the network is over what was found: 0 a coin's toss, 1 quite sure."""
    return float(np.abs(np.tanh(logits / 2)).mean()) if logits.size else 0.0


@dataclass(frozen=True)
class LungMeasures:
    """Two pieces measured, in fractions of the squashed image; the first of each pair is the piece on the left."""

    area: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    solidity: tuple[float, float]
    """Area as a share of the convex hull's."""
    side_by_side: float
    """Share of the shorter piece's rows that the other has, too."""
    above_another: float
    """Share of the narrower piece's columns that the other has, too."""
    cut: dict[str, float]
    """By edge of the image: which share of both pieces' extent along that edge lies on it."""

    @classmethod
    def of(cls, left: Mask, right: Mask) -> LungMeasures:
        """Of two pieces, bool [side, side], neither empty."""
        rows = [np.flatnonzero(piece.any(axis=1)) for piece in (left, right)]
        columns = [np.flatnonzero(piece.any(axis=0)) for piece in (left, right)]
        height, width = left.shape
        both = left | right
        down, across = np.unique(np.concatenate(rows)).size, np.unique(np.concatenate(columns)).size
        return cls(
            area=(float(left.mean()), float(right.mean())),
            width=_pair(columns, width),
            height=_pair(rows, height),
            solidity=(float(left.sum() / hull_area(left)), float(right.sum() / hull_area(right))),
            side_by_side=_overlap(*rows),
            above_another=_overlap(*columns),
            cut={
                "left": float(both[:, 0].sum() / down),
                "right": float(both[:, -1].sum() / down),
                "top": float(both[0].sum() / across),
                "bottom": float(both[-1].sum() / across),
            },
        )


def _pair(extents: list[NDArray[np.intp]], whole: int) -> tuple[float, float]:
    first, second = (float((e[-1] - e[0] + 1) / whole) for e in extents)
    return first, second


def _overlap(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    shared = min(first[-1], second[-1]) - max(first[0], second[0]) + 1
    return float(max(shared, 0) / min(first[-1] - first[0] + 1, second[-1] - second[0] + 1))


def implausibilities(mask: Mask, certainty: float = 1.0) -> tuple[str, ...]:
    """Why these are no two plausible lungs, a sentence each; ``mask`` holds at most two pieces."""
    left, right = split_sides(mask)
    if not mask.any():
        return ("No lung was found.",)
    if not (left.any() and right.any()):
        return ("Only one lung was found.",)
    lungs = LungMeasures.of(left, right)
    small, large = sorted(lungs.area)
    ratios = [height / width for height, width in zip(lungs.height, lungs.width, strict=True)]
    found = {
        "What was found is too small for two lungs.": small < _SMALLEST,
        "What was found is too large for two lungs.": large > _LARGEST,
        "One lung is many times larger than the other.": small < _LEAST_OF_THE_OTHER * large,
        "The two lungs don't lie side by side.": lungs.side_by_side < _SIDE_BY_SIDE,
        "One lung lies above the other.": lungs.above_another > _ABOVE_ANOTHER,
        "A lung is too flat or too narrow to be one.": min(ratios) < _FLATTEST or max(ratios) > _NARROWEST,
        "A lung's outline is too ragged to be one.": min(lungs.solidity) < _LEAST_SOLID,
        "The network is unsure where the lungs are.": certainty < _LEAST_CERTAIN,
    }
    cut = [f"The image's {edge} edge cuts the lungs off." for edge, share in lungs.cut.items() if share > _CUT[edge]]
    return (*(sentence for sentence, holds in found.items() if holds), *cut)


def _batches(images: Sequence[Floats], size: int) -> Iterator[Sequence[Floats]]:
    for start in range(0, len(images), size):
        yield images[start : start + size]
