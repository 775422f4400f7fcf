"""A picture with everything on it that a PACS can show to whoever opens the study: the secondary capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words, fixed, percent_beside
from lungsight.dicom_results.source_image import SourceImage
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding
from lungsight.inference.lung_overlap import grid_of
from lungsight.rendering import FOR, OUTLINE, thumbnail, with_evidence, with_outline

#: No side of the picture is longer; the image is beside the words.
_LONGEST = 1500
_IMAGE, _SMALLEST_IMAGE, _WORDS = 1024, 640, 448
_MARGIN, _GAP = 24, 14
_BACKGROUND, _TEXT, _QUIET, _ALARM = (14, 14, 16), (236, 236, 238), (172, 172, 178), (255, 190, 60)


class _Line(NamedTuple):
    """A paragraph beside the image.

    Attributes:
        size: of its letters, in pixels.
        sign: the colour of a square before it, for a legend.
    """

    text: str
    size: int = 19
    colour: tuple[int, int, int] = _TEXT
    sign: tuple[int, int, int] | None = None


def secondary_capture(
    source: SourceImage, finding: Finding, detector: Detector, identity: dict[str, Any]
) -> hd.sc.SCImage:
    """The image with outline, evidence and words, as an RGB secondary capture.

    Args:
        source: the image.
        finding: of it; it holds its pixels.
        detector: whose finding it is.
        identity: UIDs and numbers of the object.
    """
    upright = "PatientOrientation" in source.header and len(source.header.PatientOrientation) == 2
    made = hd.sc.SCImage.from_ref_dataset(
        source.header,
        picture(finding, detector),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **identity,
    )
    if not upright:  # the image may be mirrored, and nothing says so
        made.PatientOrientation = []
    made.BurnedInAnnotation = "NO"  # there are words on it, but none that identify the patient
    return made


def picture(finding: Finding, detector: Detector) -> NDArray[np.uint8]:
    """The picture, uint8 [height, width, 3], at most 1,500 pixels a side.

    Args:
        finding: of an image that was analysed; it holds its pixels.
        detector: whose finding it is.
    """
    image = _drawn(finding)
    paragraphs = list(_words(finding, detector))
    column = Image.new("RGB", (_WORDS, _LONGEST - 2 * _MARGIN), _BACKGROUND)
    used = _write(column, paragraphs)
    size = (image.width + _WORDS + 3 * _MARGIN, max(image.height, used) + 2 * _MARGIN)
    whole = Image.new("RGB", size, _BACKGROUND)
    whole.paste(image, (_MARGIN, _MARGIN))
    whole.paste(column.crop((0, 0, _WORDS, used)), (image.width + 2 * _MARGIN, _MARGIN))
    return np.asarray(whole)


def _drawn(finding: Finding) -> Image.Image:
    """The image under its evidence, with the outline of the lungs."""
    if finding.radiograph is None or finding.map is None:
        raise ValueError(f"{finding.file} was not analysed, or its pixels were not kept")
    grey = thumbnail(finding.radiograph, _IMAGE)
    scale = min(_IMAGE / max(grey.size), _IMAGE * 0.9 / grey.width, max(1.0, _SMALLEST_IMAGE / max(grey.size)))
    grey = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BICUBIC)
    strongest = float(np.abs(finding.map.values).max())
    drawn = with_evidence(grey, finding.map.on(*grid_of(grey.height, grey.width)), strongest)
    return drawn if finding.outline is None else with_outline(drawn, finding.outline)


def _words(finding: Finding, detector: Detector) -> Iterator[_Line]:
    """What a reader has to know, the most important first."""
    target = as_words(detector.target)
    yield _Line(RESEARCH_ONLY, 21, _ALARM)
    yield _Line(_capital(finding.words), 34)
    yield _Line(_probability(finding, detector), 21)
    yield from map(_Line, finding.reasons)
    if finding.category is not None:
        word = f"A radiologist's word for it: {finding.category.word}. " if finding.category.word else ""
        yield _Line(f"{word}{finding.category.meaning}")
    strongest = 0.0 if finding.map is None else max(0.0, float(finding.map.values.max()))
    evidence = f"Evidence for {target}; the strongest is {fixed(strongest, 1)} logits."
    yield _Line(evidence if strongest else f"There is no evidence for {target} in the image.", 17, sign=FOR)
    if finding.outline is not None:
        yield _Line("Outline of the lungs.", 17, sign=OUTLINE)
    grade = finding.model_grade or "no test of this model is in its package"
    yield _Line(f"Grade of the model: {grade}.", 19)
    for warning in finding.warnings:
        yield _Line(warning, 16, _QUIET)
    yield _Line(f"Model {finding.model}.", 15, _QUIET)


def _probability(finding: Finding, detector: Detector) -> str:
    """The probability of the target, beside the thresholds unless the reasons state them."""
    target, p = as_words(detector.target), finding.probabilities[detector.target]
    thresholds = detector.description.decision.thresholds
    if thresholds is None or finding.reasons:
        return f"Probability of {target}: {percent_beside(p)[0]}."
    stated, low, high = percent_beside(p, *thresholds)
    return f"Probability of {target}: {stated}. Positive from {high} on, no sign below {low}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _write(column: Image.Image, paragraphs: Sequence[_Line]) -> int:
    """Write the paragraphs below each other, as many as fit; the height that they take."""
    draw, y = ImageDraw.Draw(column), 0
    for number, line in enumerate(paragraphs):
        font = _font(line.size)
        indent = 0 if line.sign is None else line.size + 8
        lines = _broken(line.text, font, column.width - indent)
        height = len(lines) * (line.size + 6)
        if y + height > column.height - 40 and number < len(paragraphs) - 1:
            draw.text((0, y), "There are more warnings: see the finding.", _QUIET, _font(16))
            return y + 24
        if line.sign is not None:
            draw.rectangle((0, y + 4, line.size, y + line.size + 2), line.sign)
        for place, text in enumerate(lines):
            draw.text((indent, y + place * (line.size + 6)), text, line.colour, font)
        y += height + _GAP
    return y


def _broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines that are at most ``width`` pixels wide, unless a single word is wider."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font: the same on every machine, so that the same finding makes the same bytes."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType, and can't write on an image")
    return font
