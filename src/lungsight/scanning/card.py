"""What a page keeps of a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from lungsight.package import Preprocessing
from lungsight.package.lung_fields import Box
from lungsight.package.preprocessing import crop_of
from lungsight.scanning.detector import Floats
from lungsight.scanning.finding import INCONCLUSIVE, Finding, Status
from lungsight.scanning.pictures import data_uri, jpeg, packed, thumbnail, unpacked, with_evidence, with_outline
from lungsight.scanning.place import grid_of

_GROUPS = ("judged", INCONCLUSIVE, str(Status.REFUSED), str(Status.ERROR))


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What the page keeps of one finding: tens of kilobytes, whatever the size of the radiograph.

    Attributes:
        evidence: as in the finding; its mean plus ``bias`` is the target's logit margin.
        lungs: the mask to draw, packed; None where there is none.
        crop: the box around them that the network saw; None where it saw the whole image.
        evidence_in_lungs: of the evidence for the target the share that lies in the lungs.
        known: what the file says of the image, in a few words.
    """

    file: str
    status: str
    verdict: str | None
    probabilities: dict[str, float]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    known: str
    jpeg: bytes | None = None
    evidence: Floats | None = None
    bias: float = 0.0
    lungs: bytes | None = None
    crop: Box | None = None
    evidence_in_lungs: float | None = None

    @property
    def group(self) -> str:
        if self.status != Status.READ:
            return self.status
        return INCONCLUSIVE if self.verdict == INCONCLUSIVE else "judged"

    @property
    def surest(self) -> float:
        return max(self.probabilities.values(), default=0.0)

    @property
    def order(self) -> tuple[int, float]:
        """By which cards are sorted: by group, the surest first."""
        return _GROUPS.index(self.group), -self.surest

    @property
    def mean_evidence(self) -> float:
        return 0.0 if self.evidence is None else float(self.evidence.mean(dtype=np.float64))

    @property
    def margin(self) -> float:
        return self.mean_evidence + self.bias

    @property
    def picture(self) -> str:
        if self.jpeg is None or self.lungs is None:
            return data_uri(self.jpeg) if self.jpeg else ""
        return data_uri(jpeg(self._outlined(Image.open(BytesIO(self.jpeg)))))

    def overlay(self, full: float, preprocessing: Preprocessing) -> str:
        """The picture under its evidence, ``full`` logits in the strongest colour."""
        if self.jpeg is None or self.evidence is None:
            return ""
        grey = Image.open(BytesIO(self.jpeg)).convert("L")
        evidence = preprocessing.restore(self.evidence, *grid_of(grey.height, grey.width), self.crop)
        return data_uri(jpeg(self._outlined(with_evidence(grey, evidence, full))))

    def _outlined(self, picture: Image.Image) -> Image.Image:
        return picture if self.lungs is None else with_outline(picture, unpacked(self.lungs))


def card_of(finding: Finding, cautions_of_model: tuple[str, ...]) -> Card:
    """The card of ``finding``; what holds for every image is said once, at the top of the page."""
    return Card(
        file=finding.file,
        status=str(finding.status),
        verdict=finding.verdict,
        probabilities=dict(finding.probabilities),
        reasons=finding.reasons,
        warnings=tuple(warning for warning in finding.warnings if warning not in cautions_of_model),
        known=" · ".join(_known(finding)),
        jpeg=jpeg(thumbnail(finding.radiograph)) if finding.radiograph is not None else None,
        evidence=finding.evidence,
        bias=finding.evidence_bias,
        lungs=None if finding.outline is None else packed(finding.outline),
        crop=crop_of(finding.lungs),
        evidence_in_lungs=finding.evidence_in_lungs,
    )


def full_scale(cards: list[Card]) -> float:
    """How many logits have the strongest colour: one scale for the whole page, so that pictures can be compared.
    It is the 99th percentile of all evidence on it."""
    strengths = [np.abs(card.evidence).ravel() for card in cards if card.evidence is not None]
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
