"""What the page shows of one image: its record in the journal, and a small copy of its pixels."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight._text import as_words, percent_beside
from lungsight.components.decision import decision_words
from lungsight.components.lungs import Box
from lungsight.components.preprocessing import Preprocessing
from lungsight.inference.finding import GUESSED, INCONCLUSIVE, ClassMap, Finding, Status
from lungsight.inference.lung_overlap import grid_of
from lungsight.rendering import (
    AGAINST,
    FOR,
    MAX_SIDE,
    data_uri,
    heat_layer,
    jpeg,
    outline_layer,
    packed,
    small_jpeg,
    unpacked,
    with_evidence,
    with_outline,
)
from lungsight.scanning.journal import Record

#: The longest side of the outline's picture: a thin line needs no more.
_OUTLINE_SIDE = 512

#: In this order they stand on the page.
GROUPS = (Status.READ, Status.REFUSED, Status.ERROR)


@dataclass(frozen=True, eq=False)
class SmallImage:
    """What is kept of an image to show it: tens of kilobytes, whatever its size.

    Attributes:
        jpeg: the image, small and grey.
        known: what the file states of it, in a few words.
        map: the finding's map; None if the image wasn't analysed.
        lungs: the mask to outline, packed; None if there is none.
    """

    jpeg: bytes
    known: str
    map: ClassMap | None = None
    lungs: bytes | None = None

    @classmethod
    def of(cls, finding: Finding, side: int = MAX_SIDE) -> SmallImage | None:
        """Of a finding that holds its image, at most ``side`` pixels a side; None if it holds none."""
        if finding.radiograph is None:
            return None
        lungs = None if finding.outline is None else packed(finding.outline)
        return cls(small_jpeg(finding.radiograph, side), " · ".join(_known(finding)), finding.map, lungs)

    def as_json(self) -> dict[str, Any]:
        """What a file holds of it; what the package says is left out."""
        lungs = None if self.lungs is None else base64.b64encode(self.lungs).decode("ascii")
        stated: dict[str, Any] = {
            "jpeg": base64.b64encode(self.jpeg).decode("ascii"),
            "known": self.known,
            "lungs": lungs,
            "map": None,
        }
        if self.map is not None:
            box = self.map.box and asdict(self.map.box)
            stated["map"] = {"values": self.map.values.tolist(), "bias": self.map.bias, "box": box}
        return stated

    @classmethod
    def from_json(cls, stated: dict[str, Any], preprocessing: Preprocessing) -> SmallImage:
        """What :meth:`as_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        drawn, lungs = stated["map"], stated["lungs"]
        if drawn is not None:
            values, box = np.array(drawn["values"], dtype=np.float32), drawn["box"] and Box(**drawn["box"])
            drawn = ClassMap(values, drawn["bias"], preprocessing, box)
        lungs = None if lungs is None else base64.b64decode(lungs)
        return cls(base64.b64decode(stated["jpeg"]), stated["known"], drawn, lungs)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the small image, in pixels."""
        return Image.open(BytesIO(self.jpeg)).size

    @property
    def source(self) -> str:
        """The small image, for ``src``."""
        return data_uri(self.jpeg)

    @property
    def outline(self) -> str:
        """The lungs' outline as a layer over the image, for ``src``; empty if there is none."""
        if self.lungs is None:
            return ""
        scale = min(1.0, _OUTLINE_SIDE / max(self.size))
        width, height = (max(1, round(side * scale)) for side in self.size)
        return data_uri(outline_layer(unpacked(self.lungs), (width, height)), "png")

    def heat(self, full: float, *, against: bool = False) -> str:
        """The evidence for the target as a layer over the image, for ``src``; empty if there is none.

        Args:
            full: logits that have the strongest colour.
            against: show the evidence against the target instead.
        """
        if self.map is None:
            return ""
        evidence = self._evidence(self.map)
        layer = heat_layer(-evidence, full, AGAINST) if against else heat_layer(evidence, full, FOR)
        return data_uri(layer, "png")

    @property
    def outlined(self) -> str:
        """The image with the lungs' outline drawn into it, for ``src``."""
        if self.lungs is None:
            return self.source
        return data_uri(jpeg(with_outline(Image.open(BytesIO(self.jpeg)), unpacked(self.lungs))))

    def overlay(self, full: float) -> str:
        """The image under its evidence for and against, and the outline, for ``src``; empty if there is no map.

        Args:
            full: logits that have the strongest colour.
        """
        if self.map is None:
            return ""
        grey = Image.open(BytesIO(self.jpeg)).convert("L")
        drawn = with_evidence(grey, self._evidence(self.map), full, against=True)
        return data_uri(jpeg(drawn if self.lungs is None else with_outline(drawn, unpacked(self.lungs))))

    def _evidence(self, drawn: ClassMap) -> NDArray[np.float32]:
        width, height = self.size
        return drawn.on(*grid_of(height, width))


@dataclass(frozen=True, eq=False)
class Card:
    """One image on the page.

    Attributes:
        record: its line in the journal.
        target: the class that the decision is about.
        urgency: the probability of the target; 0 if it wasn't analysed.
        image: None if it couldn't be read, or is no longer there to be shown.
        warnings: those about this image alone.
    """

    record: Record
    target: str
    urgency: float
    image: SmallImage | None
    warnings: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The decision in words, or what took its place."""
        return result_of(self.record, self.target)

    def meaning(self, thresholds: tuple[float, float] | None) -> str:
        """What the result of an analysed image rests on, in a sentence; empty if its reasons say it."""
        decision, target = self.record["verdict"], as_words(self.target)
        if self.record["status"] != Status.READ or decision == INCONCLUSIVE:
            return ""
        if thresholds is None:
            return f"Of the classes that the model tells apart, {as_words(decision)} is the most probable."
        if decision == self.target:
            p, high = percent_beside(self.urgency, thresholds[1])
            return f"The probability of {target} is {p}: the model calls it from {high} on."
        p, low = percent_beside(self.urgency, thresholds[0])
        said = f"The probability of {target} is {p}: below {low} the model sees no sign of it."
        return f"{said} Of other diseases it says nothing."


def result_of(record: Record, target: str) -> str:
    """The decision in words, or what took its place."""
    return "could not be read" if record["status"] == Status.ERROR else decision_words(record["verdict"], target)


def full_scale(maps: Iterable[ClassMap]) -> float:
    """The logits that have the strongest colour: one scale for a whole page, so that its images can be compared.

    Returns:
        The 99th percentile of the absolute evidence of all maps; 0 without any.
    """
    strengths = [np.abs(one.values).ravel() for one in maps]
    return float(np.percentile(np.concatenate(strengths), 99)) if strengths else 0.0


def _known(finding: Finding) -> Iterator[str]:
    radiograph = finding.radiograph
    if radiograph is None:
        return
    yield f"{radiograph.width} × {radiograph.height} px, {radiograph.bit_depth} bit"
    view = f"probably {finding.view}" if finding.view_from == GUESSED else finding.view
    for value in (radiograph.modality, radiograph.body_part, view):
        if value is not None:
            yield str(value)
    if radiograph.age is not None:
        yield f"{radiograph.age:.0f} years"
    if radiograph.sex is not None:
        yield radiograph.sex
