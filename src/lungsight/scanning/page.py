"""Findings as one page to look at: self-contained, surest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

from lungsight import RESEARCH_ONLY, __version__
from lungsight.package import PackageDescription, Preprocessing
from lungsight.package.in_words import calibration_in_words, decision_in_words, parts_in_words
from lungsight.package.lung_fields import Box
from lungsight.package.preprocessing import crop_of
from lungsight.scanning.detector import Detector, Floats
from lungsight.scanning.finding import INCONCLUSIVE, Finding, Status
from lungsight.scanning.pictures import (
    AGAINST,
    FOR,
    OUTLINE,
    data_uri,
    jpeg,
    packed,
    thumbnail,
    unpacked,
    with_evidence,
    with_outline,
)
from lungsight.scanning.place import grid_of

_GROUPS = ("judged", INCONCLUSIVE, str(Status.REFUSED), str(Status.ERROR))


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What the page keeps of one finding: tens of kilobytes, whatever the size of the radiograph.

    Attributes:
        evidence: as in the finding; its mean plus ``bias`` is the target's logit margin.
        lungs: their mask, packed; None where nobody looked for them, or there are none.
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


class FindingsPage:
    """Collects findings as they come, then writes the page."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._cards: list[Card] = []

    def add(self, finding: Finding) -> None:
        """Keep what the page will show of ``finding``."""
        self._cards.append(card_of(finding, self._detector.cautions))

    def write(self, path: Path) -> None:
        """Write the page, in whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        _template().stream(self._content()).dump(str(partial), encoding="utf-8")
        partial.replace(path)

    def _content(self) -> dict[str, object]:
        counts = Counter(str(card.verdict or card.status) for card in self._cards)
        return {
            "cards": sorted(self._cards, key=lambda card: (_GROUPS.index(card.group), -card.surest)),
            "counts": counts.most_common(),
            "full": full_scale(self._cards),
            "model": self._detector.model,
            "description": self._detector.description,
            "cautions": self._detector.cautions,
            "research_only": RESEARCH_ONLY,
            "version": __version__,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "colour_for": _rgb(FOR),
            "colour_against": _rgb(AGAINST),
            "colour_outline": _rgb(OUTLINE),
            "outlined": any(card.lungs for card in self._cards),
            "in_words": in_words(self._detector.description),
        }


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
        lungs=packed(finding.lungs.mask) if finding.lungs is not None and finding.lungs.mask.any() else None,
        crop=crop_of(finding.lungs),
        evidence_in_lungs=finding.evidence_in_lungs,
    )


def in_words(description: PackageDescription) -> dict[str, str]:
    """What a package holds and how it decides, by heading."""
    calibration = calibration_in_words(description.calibration)
    decision = decision_in_words(description.decision, description.target)
    said = {"Probabilities": calibration, "Verdict": decision, **parts_in_words(description)}
    return {heading: sentences.replace("*", "") for heading, sentences in said.items()}


def full_scale(cards: list[Card]) -> float:
    """How many logits have the strongest colour: one scale for the whole page, so that pictures can be compared.
    It is the 99th percentile of all evidence on it."""
    strengths = [np.abs(card.evidence).ravel() for card in cards if card.evidence is not None]
    return float(np.percentile(np.concatenate(strengths), 99)) if strengths else 0.0


def _template() -> Template:
    loader = PackageLoader("lungsight.scanning")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["signed"] = lambda value: f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
    return environment.get_template("findings.html.j2")


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


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
