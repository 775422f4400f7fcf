"""What a DICOM header knows of a radiograph besides its pixels. Nothing in here can make a file unreadable: a
defective value becomes a warning."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from pydicom import Dataset

from lungsight.faults import printable
from lungsight.radiograph import View

_OLDEST = 120.0
_YEARS_PER = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_VIEWS = {
    "PA": View.PA,
    "POSTEROANTERIOR": View.PA,
    "AP": View.AP,
    "ANTEROPOSTERIOR": View.AP,
    "APSUPINE": View.AP_SUPINE,
    "SUPINEAP": View.AP_SUPINE,
    "FRONTAL": View.FRONTAL,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LAT": View.LATERAL,
    "LATERAL": View.LATERAL,
    "LEFTLATERAL": View.LATERAL,
    "RIGHTLATERAL": View.LATERAL,
}
#: DICOM PS3.16, context group 4010 (DX View), in SNOMED CT and in the older SNOMED RT codes.
_VIEW_CODES = {
    "272479007": View.PA,
    "R-10214": View.PA,
    "399348003": View.AP,
    "R-10206": View.AP,
    "399033003": View.FRONTAL,
    "R-10202": View.FRONTAL,
    "399173006": View.LATERAL,
    "R-10236": View.LATERAL,
    "399198007": View.LATERAL,
    "R-10232": View.LATERAL,
    "399067008": View.LATERAL,
    "R-102CD": View.LATERAL,
}
_SUPINE_CODES = ("40199007", "F-10340")


@dataclass
class Header:
    """A data set that is read with tolerance: what can't be read is None, and a warning is kept."""

    dataset: Dataset
    warnings: list[str] = field(default_factory=list)

    def warn(self, keyword: str, why: str, then: str = "it is left out") -> None:
        self.warnings.append(f"DICOM {keyword} {why}: {then}.")

    def value(self, keyword: str) -> Any:
        """The value, None where it is absent, empty or unreadable."""
        try:
            value = self.dataset.get(keyword)
        except Exception:  # a defective value raises whatever its type's constructor raises
            self.warn(keyword, "is unreadable")
            return None
        return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value

    def text(self, keyword: str) -> str | None:
        """The first value as trimmed text that can be printed."""
        value = self.value(keyword)
        if value is not None and not isinstance(value, str | bytes) and isinstance(value, Iterable):
            value = next(iter(value), None)
        text = printable(str(value).strip("\0 ")) if value is not None else ""
        return text or None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as finite numbers; empty where there are none or one is defective."""
        value = self.value(keyword)
        if value is None:
            return ()
        many = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
        try:
            numbers = tuple(float(one) for one in many)
        except (TypeError, ValueError):
            numbers = (float("nan"),)
        if not np.isfinite(numbers).all():
            self.warn(keyword, "is not a number")
            return ()
        return numbers

    def number(self, keyword: str) -> float | None:
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def items(self, keyword: str) -> list[Header]:
        """The items of a sequence, their warnings added to this header's own."""
        value = self.value(keyword)
        if value is None:
            return []
        if not all(isinstance(item, Dataset) for item in value):
            self.warn(keyword, "is not a sequence")
            return []
        return [Header(item, self.warnings) for item in value]


def knowledge_of(header: Header) -> dict[str, Any]:
    """The fields of a Radiograph that come from the header alone."""
    body_part = header.text("BodyPartExamined")
    modality = header.text("Modality")
    return {
        "modality": modality.upper() if modality else None,
        "body_part": body_part.upper() if body_part else None,
        "view": _view(header),
        "laterality": _one_of(header, "ImageLaterality", "LRUB") or _one_of(header, "Laterality", "LRUB"),
        "age": _age(header),
        "sex": _one_of(header, "PatientSex", "MFO"),
        "patient": _patient_key(header),
        "pixel_spacing": _spacing(header, "PixelSpacing") or _spacing(header, "ImagerPixelSpacing"),
        "burned_in_annotation": _yes_or_no(header, "BurnedInAnnotation"),
    }


def _view(header: Header) -> View | None:
    text = header.text("ViewPosition")
    if text is not None:
        view = _VIEWS.get(re.sub(r"[^A-Z]", "", text.upper()), View.OTHER)
    else:
        codes = header.items("ViewCodeSequence")
        if not codes:
            return None
        view = _VIEW_CODES.get(codes[0].text("CodeValue") or "", View.OTHER)
    return View.AP_SUPINE if view is View.AP and _is_supine(header) else view


def _is_supine(header: Header) -> bool:
    modifiers = [
        modifier
        for orientation in header.items("PatientOrientationCodeSequence")
        for modifier in orientation.items("PatientOrientationModifierCodeSequence")
    ]
    return any(modifier.text("CodeValue") in _SUPINE_CODES for modifier in modifiers)


def _age(header: Header) -> float | None:
    """In years, from PatientAge; else from the dates of birth and study."""
    text = header.text("PatientAge")
    if text is None:
        return _age_by_dates(header)
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", text.upper())
    years = float(match[1]) * _YEARS_PER[match[2] or "Y"] if match else -1.0
    if not 0 <= years <= _OLDEST:
        header.warn("PatientAge", f"'{text}' is not an age")
        return _age_by_dates(header)
    if match and not match[2]:
        header.warn("PatientAge", f"'{text}' has no unit", "years are assumed")
    return years


def _age_by_dates(header: Header) -> float | None:
    born, studied = _date(header, "PatientBirthDate"), _date(header, "StudyDate")
    if born is None or studied is None:
        return None
    years = (studied - born).days / 365.25
    if not 0 <= years <= _OLDEST:
        header.warn("PatientBirthDate", "does not go with StudyDate", "the age is left out")
        return None
    return years


def _date(header: Header, keyword: str) -> date | None:
    text = header.text(keyword)
    if text is None:
        return None
    try:
        return datetime.strptime(text.replace(".", "").replace("-", "")[:8], "%Y%m%d").date()
    except ValueError:
        header.warn(keyword, "is not a date")
        return None


def _one_of(header: Header, keyword: str, letters: str) -> str | None:
    text = header.text(keyword)
    if text is None:
        return None
    if text[0].upper() not in letters:
        header.warn(keyword, f"'{text[:16]}' is none of {', '.join(letters)}")
        return None
    return text[0].upper()


def _patient_key(header: Header) -> str | None:
    """Tells patients apart without naming them: never the name, and the ID only as a digest."""
    patient_id = header.text("PatientID")
    return hashlib.sha256(patient_id.encode("utf-8", "replace")).hexdigest()[:16] if patient_id else None


def _spacing(header: Header, keyword: str) -> tuple[float, float] | None:
    numbers = header.numbers(keyword)
    if not numbers:
        return None
    if len(numbers) != 2 or min(numbers) <= 0:
        header.warn(keyword, "is not two positive numbers")
        return None
    return numbers[0], numbers[1]


def _yes_or_no(header: Header, keyword: str) -> bool | None:
    text = header.text(keyword)
    if text is None:
        return None
    if text.upper() not in ("YES", "NO"):
        header.warn(keyword, "is neither YES nor NO")
        return None
    return text.upper() == "YES"
