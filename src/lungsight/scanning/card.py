"""What a page keeps of a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from lungsight._text import as_words
from lungsight.components.lungs import Box, crop_of
from lungsight.inference.detector import Floats
from lungsight.inference.finding import Finding, Status
from lungsight.inference.lung_overlap import grid_of
from lungsight.package import Preprocessing
from lungsight.rendering import (
    AGAINST,
    FOR,
    data_uri,
    film,
    heat_layer,
    jpeg,
    outline_layer,
    packed,
    unpacked,
    with_evidence,
    with_outline,
)

#: The longest side of the outline's picture: a thin line needs no more.
_OUTLINE_SIDE = 512

#: The cards that come first: of images that were judged.
JUDGED = "judged"
_GROUPS = (JUDGED, str(Status.REFUSED), str(Status.ERROR))


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What the page keeps of one finding: tens of kilobytes, whatever the size of the radiograph.

    Attributes:
        urgency: the probability of the target; 0 where the image wasn't judged.
        evidence: as in the finding; its mean plus ``bias`` is the target's logit margin.
        lungs: the mask to draw, packed; None where there is none.
        crop: the box around them that the network saw; None where it saw the whole image.
        evidence_in_lungs: of the evidence for the target the share that lies in the lungs.
        known: what the file says of the image, in a few words.
    """

    file: str
    status: str
    decision: str | None
    probabilities: dict[str, float]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    known: str
    urgency: float = 0.0
    jpeg: bytes | None = None
    evidence: Floats | None = None
    bias: float = 0.0
    lungs: bytes | None = None
    crop: Box | None = None
    evidence_in_lungs: float | None = None

    @property
    def group(self) -> str:
        return JUDGED if self.status == Status.READ else self.status

    @property
    def result(self) -> str:
        """The decision in words; what stands in its place where there is none."""
        return "could not be read" if self.status == Status.ERROR else as_words(self.decision or self.status)

    @property
    def order(self) -> tuple[int, float]:
        """By which cards are sorted: by group, the most urgent first."""
        return _GROUPS.index(self.group), -self.urgency

    @property
    def mean_evidence(self) -> float:
        return 0.0 if self.evidence is None else float(self.evidence.mean(dtype=np.float64))

    @property
    def margin(self) -> float:
        return self.mean_evidence + self.bias

    @property
    def film(self) -> str:
        """The radiograph, for ``src``; empty where there is none."""
        return data_uri(self.jpeg) if self.jpeg else ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of :attr:`film`."""
        return Image.open(BytesIO(self.jpeg)).size if self.jpeg else (1, 1)

    @property
    def outline(self) -> str:
        """The lungs' outline as a layer over :attr:`film`; empty where there is none."""
        if self.jpeg is None or self.lungs is None:
            return ""
        longest = max(self.size)
        size = tuple(max(1, round(side * min(1.0, _OUTLINE_SIDE / longest))) for side in self.size)
        return data_uri(outline_layer(unpacked(self.lungs), (size[0], size[1])), "png")

    def heat(self, full: float, preprocessing: Preprocessing, *, against: bool = False) -> str:
        """The evidence for the target, or ``against`` it, as a layer over :attr:`film`; ``full`` logits have the
        strongest colour."""
        if self.evidence is None:
            return ""
        evidence = preprocessing.restore(self.evidence, *grid_of(*reversed(self.size)), self.crop)
        layer = heat_layer(-evidence, full, AGAINST) if against else heat_layer(evidence, full, FOR)
        return data_uri(layer, "png")

    @property
    def picture(self) -> str:
        """The radiograph with the lungs' outline drawn into it."""
        if self.jpeg is None or self.lungs is None:
            return self.film
        return data_uri(jpeg(self._outlined(Image.open(BytesIO(self.jpeg)))))

    def overlay(self, full: float, preprocessing: Preprocessing) -> str:
        """The picture under its evidence for and against, ``full`` logits in the strongest colour."""
        if self.jpeg is None or self.evidence is None:
            return ""
        grey = Image.open(BytesIO(self.jpeg)).convert("L")
        evidence = preprocessing.restore(self.evidence, *grid_of(grey.height, grey.width), self.crop)
        return data_uri(jpeg(self._outlined(with_evidence(grey, evidence, full, against=True))))

    def _outlined(self, picture: Image.Image) -> Image.Image:
        return picture if self.lungs is None else with_outline(picture, unpacked(self.lungs))


def card_of(finding: Finding, target: str, model_warnings: tuple[str, ...]) -> Card:
    """The card of ``finding``, the more urgent the more probable ``target`` is; what holds for every image is said
    once, for the whole page."""
    return Card(
        file=finding.file,
        status=str(finding.status),
        decision=finding.decision,
        probabilities=dict(finding.probabilities),
        reasons=finding.reasons,
        warnings=tuple(warning for warning in finding.warnings if warning not in model_warnings),
        known=" · ".join(_known(finding)),
        urgency=finding.probabilities.get(target, 0.0),
        jpeg=film(finding.radiograph) if finding.radiograph is not None else None,
        evidence=finding.evidence,
        bias=finding.evidence_bias,
        lungs=None if finding.outline is None else packed(finding.outline),
        crop=crop_of(finding.lungs),
        evidence_in_lungs=finding.evidence_in_lungs,
    )


def full_scale(evidence: Iterable[Floats]) -> float:
    """How many logits have the strongest colour: one scale for the whole page, so that pictures can be compared.
    It is the 99th percentile of all evidence on it."""
    strengths = [np.abs(one).ravel() for one in evidence]
    return float(np.percentile(np.concatenate(strengths), 99)) if strengths else 0.0


def _known(finding: Finding) -> Iterator[str]:
    radiograph = finding.radiograph
    if radiograph is None:
        return
    yield f"{radiograph.width} × {radiograph.height} px, {radiograph.bit_depth} bit"
    for value in (radiograph.modality, radiograph.body_part, radiograph.view):
        if value is not None:
            yield str(value)
    if radiograph.age is not None:
        yield f"{radiograph.age:.0f} years"
    if radiograph.sex is not None:
        yield radiograph.sex
