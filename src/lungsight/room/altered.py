"""The opened image, altered as the audits alter it, and what the model makes of it. Nothing is stored.

It needs the extra ``data``. As in an audit, the network sees the altered image in the box around the lungs of the
unaltered one, and nothing is refused; whether scanning would refuse it is told beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lungsight._text import as_words
from lungsight.alterations.corruptions import STRESSES, Stress, write
from lungsight.alterations.image import AuditedImage, Floats32, at_twice_the_input, seed_of
from lungsight.alterations.occlusions import filled_lungs
from lungsight.components.decision import decision_words
from lungsight.components.lungs import crop_of
from lungsight.inference import Detector, Finding
from lungsight.inference.preparation import CheckedImage
from lungsight.reading import ImageFile
from lungsight.room.model import Model, meaning_of
from lungsight.room.outline import polygons
from lungsight.room.pixels import levels_of_greys, window_as_json
from lungsight.room.problems import ProblemError
from lungsight.room.worker import map_of

_STRESSES: Mapping[str, Stress] = {stress.name: stress for stress in STRESSES}


@dataclass(frozen=True)
class Request:
    """What is asked for: a kind of :data:`KINDS`, its strength, and for a letter the place and the text."""

    kind: str
    strength: float | None = None
    x: float = 0.06
    y: float = 0.12
    text: str = "L"


@dataclass(frozen=True)
class Kind:
    """A way to alter the opened image.

    Attributes:
        words: what is done.
        alter: from an image and a request to other pixels; None if this image can't be altered so.
        strengths: that may be asked for, in the unit of ``unit``; empty if there is one way only.
        unit: what a strength means, with ``{}`` for it.
        default: the strength unless another is asked for.
    """

    words: str
    alter: Callable[[AuditedImage, Request], Floats32 | None]
    strengths: tuple[float, ...] = ()
    unit: str = ""
    default: float | None = None


def _stressed(name: str, words: str, default: float) -> Kind:
    stress = _STRESSES[name]
    return Kind(
        words,
        lambda exam, asked: stress.alter(exam, _strength(asked, default)),
        stress.strengths,
        stress.words,
        default,
    )


def _letter(exam: AuditedImage, asked: Request) -> Floats32:
    height, width = exam.pixels.shape
    tall = max(4.0, _strength(asked, 8) / 100 * min(height, width))
    return write(exam.pixels, asked.text, round(asked.x * width), round(asked.y * height), tall)


def _strength(asked: Request, default: float) -> float:
    return default if asked.strength is None else asked.strength


KINDS: Mapping[str, Kind] = {
    "hide_lungs": Kind(
        "hide the lungs and what is between them, filled with the greys around", lambda exam, _: filled_lungs(exam)
    ),
    "letter": Kind(
        "plant a letter", _letter, _STRESSES["letter above"].strengths, _STRESSES["letter above"].words, 8.0
    ),
    "blur": _stressed("blur", "blur", 2.0),
    "border": _stressed("white border", "add a white border", 2.0),
    "invert": _stressed("inversion", "invert the brightest greys", 100.0),
}


def kinds_as_json() -> list[dict[str, Any]]:
    """The ways to alter an image, as the API gives them."""
    return [
        {
            "kind": name,
            "words": kind.words,
            "strengths": list(kind.strengths),
            "unit": kind.unit,
            "default": kind.default,
        }
        for name, kind in KINDS.items()
    ]


def altered(detector: Detector, model: Model, file: ImageFile, asked: Request) -> dict[str, Any]:
    """What the model makes of an altered image.

    Args:
        detector: the model at work.
        model: the same, described.
        file: the image; it was analysed before.
        asked: the alteration.

    Raises:
        UnreadableImageError: it can't be read any more.
        ProblemError: it can't be altered so.
    """
    checked = detector.check_with_networks(detector.read(file))
    exam = _exam(checked, detector)
    pixels = KINDS[asked.kind].alter(exam, asked)
    if pixels is None:
        raise ProblemError(409, "No two plausible lungs were found to hide.", "Try another image.")
    before, after = detector.answer_checked([_with(checked, exam.pixels), _with(checked, pixels)])
    again = detector.check_input(_with(checked, pixels).radiograph)
    return {
        "finding": after.finding.as_json(),
        "meaning": meaning_of(after.finding.as_json(), model),
        "decision_words": decision_words(str(after.finding.decision), model.target),
        "before": _brief(before.finding, model),
        "after": _brief(after.finding, model),
        "would_refuse": list(again.refusals),
        "would_turn_negative": again.inverted,
        "outline": [] if after.finding.outline is None else polygons(after.finding.outline),
        "evidence": map_of(after.finding) | {"target": model.target, "target_words": as_words(model.target)},
        "picture": _picture(pixels),
    }


def _exam(checked: CheckedImage, detector: Detector) -> AuditedImage:
    small = at_twice_the_input(checked.radiograph.pixels, detector.preprocessing)
    height, width = small.shape
    lungs, crop = checked.lungs, crop_of(checked.lungs)
    mask = lungs.on(height, width) if lungs is not None and not lungs.problems else None
    region = None if crop is None else detector.preprocessing.region(height, width, crop)
    return AuditedImage(small, mask, seed_of(checked.radiograph.sha256), region)


def _with(checked: CheckedImage, pixels: Floats32) -> CheckedImage:
    """The same image with other pixels; its lungs stay where they were found."""
    radiograph = checked.radiograph
    shape = (radiograph.height, radiograph.width)
    changed = replace(radiograph, pixels=np.array(pixels, dtype=np.float32), file_shape=shape)
    return replace(checked, radiograph=changed)


def _brief(finding: Finding, model: Model) -> dict[str, Any]:
    return {
        "decision": finding.decision,
        "probability": round(float(finding.probabilities[model.target]), 6),
    }


def _picture(pixels: Floats32) -> dict[str, Any]:
    levels = levels_of_greys(pixels)
    height, width = levels.values.shape
    return {
        "width": width,
        "height": height,
        "lowest": 0,
        "highest": 65535,
        "padded": False,
        "windows": [window_as_json(window) for window in levels.windows],
        "data": base64.b64encode(levels.values.astype("<u2").tobytes()).decode("ascii"),
    }
